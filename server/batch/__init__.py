"""`fast-spark batch`: many texts from one file to audio files and a manifest."""
