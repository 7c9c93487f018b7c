"""Detection of the script of a text: Chinese, or scripts with spaces between words."""

from __future__ import annotations

import re

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々〇"  # for use inside [...]
CJK = HAN + "\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7af"  # and kana and Hangul: about a syllable each
LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"

_HAN = re.compile(f"[{HAN}]")
_CJK = re.compile(f"[{CJK}]")
_HAN_OR_STOP = re.compile(f"[{HAN}，。、；：！？《》]")
_WORD = re.compile(r"[^\W\d_]+")
_ONLY_HAN = re.compile(f"[{HAN}]+")


def is_han(char: str) -> bool:
    """Whether this is one Chinese character; false for the empty string."""
    return _HAN.match(char) is not None


def is_cjk(char: str) -> bool:
    """Whether this is one Chinese, Japanese or Korean character."""
    return _CJK.match(char) is not None


def is_chinese(text: str) -> bool:
    """Whether `text` is mainly Chinese: it has more Chinese characters and stops than words of other scripts.

    Names in capitals, such as 5G and AI, do not count as words.

    >>> is_chinese("我用 Python"), is_chinese("I visited 故宫 in May"), is_chinese("3.5")
    (True, False, False)
    """
    characters = len(_HAN_OR_STOP.findall(text))
    if not characters:
        return False
    words = _WORD.findall(_ONLY_HAN.sub(" ", text))
    return characters > sum(not word.isupper() for word in words) and not (len(words) > 2 and _HAN.search(text) is None)
