"""BiCodec: samples to tokens and back."""
