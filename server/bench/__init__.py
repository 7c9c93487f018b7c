"""The command `fast-spark bench`: what listeners of a server meet with, by how many there are."""
