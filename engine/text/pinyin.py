"""Chinese text as pinyin, for language models that were trained on it: their config.yaml has `spelling: pinyin`."""

from __future__ import annotations

import re

_CHINESE = re.compile("[\u3007\u3400-\u9fff\uf900-\ufaff]+")
_PUNCTUATION = str.maketrans(
    {"，": ",", "、": ",", "。": ".", "！": "!", "？": "?", "；": ";", "：": ":", "（": "(", "）": ")"}
    | dict.fromkeys("《》〈〉「」『』【】“”", " ")
)


def spelled(text: str) -> str:
    """A text with its Chinese characters as pinyin with tone numbers.

    "你好，Bob。" is "ni3 hao3, Bob." A neutral tone is 5, ü is v. Where a character has several readings, the phrase
    that it is in tells which is meant.
    """
    if not _CHINESE.search(text):
        return text
    from pypinyin import Style, lazy_pinyin  # 0.2 s and 50 MB of phrases, for Chinese text alone

    def syllables(match: re.Match[str]) -> str:
        return f" {' '.join(lazy_pinyin(match[0], style=Style.TONE3, neutral_tone_with_five=True))} "

    spaced = _CHINESE.sub(syllables, text).translate(_PUNCTUATION)
    spaced = re.sub(r"\s+(?=[,.!?;:)])|(?<=\()\s+", "", spaced)  # before punctuation, and behind a bracket
    return re.sub(r"([,.!?;:])(?=[^\W\d])|\s+", r"\1 ", spaced).strip()
