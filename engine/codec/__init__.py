"""BiCodec: samples to tokens and back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.codec.bicodec import BiCodec

__all__ = ["BiCodec"]


def __getattr__(name: str) -> object:
    """Import BiCodec at its first use, since it imports torch and transformers; the command's help needs neither."""
    if name == "BiCodec":
        from engine.codec.bicodec import BiCodec

        return BiCodec
    raise AttributeError(name)
