"""Text in a script that a model does not speak is found, and nothing else is."""

from __future__ import annotations

import pytest

from engine.text import Language, foreign


@pytest.mark.parametrize(
    ("text", "languages", "scripts", "everything"),
    [
        ("你好，今天天气怎么样？", ["en"], ("Chinese",), True),
        ("She said 你好 to me.", ["en"], ("Chinese",), False),
        ("我有3个", ["en"], ("Chinese",), False),  # the number is read
        ("Привет, как дела?", ["en", "zh"], ("Cyrillic",), True),
        ("こんにちは", ["en", "zh"], ("Hiragana",), True),
        ("カタカナのこと", ["en"], ("Katakana", "Hiragana"), True),
        ("שלום and مرحبا", ["en"], ("Arabic", "Hebrew"), False),
        ("Hello.", ["zh"], ("Latin",), True),
        ("Hello.", ["ru", "ja"], ("Latin",), True),
    ],
)
def test_what_is_not_spoken_is_named(
    text: str, languages: list[Language], scripts: tuple[str, ...], everything: bool
) -> None:
    found = foreign(text, languages)
    assert found is not None
    assert (found.scripts, found.all) == (scripts, everything)


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("The naïve café, façade and all", ["en"]),
        ("Ｆｕｌｌ ｗｉｄｔｈ and 𝐛𝐨𝐥𝐝", ["en"]),
        ("An angle of α = 30° takes 5 µs", ["en"]),
        ("3.5 + 4 = 7.5 😀 ?!", ["en"]),
        ("", ["en"]),
        ("我用 Python 写程序。", ["en", "zh"]),
        ("Привет", ["ru"]),
        ("日本語のカタカナ", ["ja"]),
        ("한국어", ["ko"]),
        ("Grüße", ["de"]),
    ],
)
def test_what_is_spoken_is_not_foreign(text: str, languages: list[Language]) -> None:
    assert foreign(text, languages) is None
