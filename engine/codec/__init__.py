"""BiCodec: samples to tokens and back."""

from engine.codec.bicodec import BiCodec

__all__ = ["BiCodec"]
