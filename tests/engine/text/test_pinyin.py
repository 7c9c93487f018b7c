"""Chinese text as pinyin, for models that were trained on it."""

from __future__ import annotations

import pytest

from engine.text.pinyin import spelled


@pytest.mark.parametrize(
    ("text", "pinyin"),
    [
        ("你好，很高兴认识你。", "ni3 hao3, hen3 gao1 xing4 ren4 shi2 ni3."),
        ("今天天气怎么样？", "jin1 tian1 tian1 qi4 zen3 me5 yang4?"),
        ("女儿、绿色！", "nv3 er2, lv4 se4!"),
        ("银行很行。", "yin2 hang2 hen3 xing2."),  # one character, two readings
        ("我在長大。", "wo3 zai4 zhang3 da4."),  # traditional characters
        ("我用Python写代码，好吗？", "wo3 yong4 Python xie3 dai4 ma3, hao3 ma5?"),
        ("He said 你好 to me.", "He said ni3 hao3 to me."),
        ("他说：“走吧。”然后（三）走了", "ta1 shuo1: zou3 ba5. ran2 hou4 (san1) zou3 le5"),
        ("你好,Bob.", "ni3 hao3, Bob."),
        ("第一。\n第二。", "di4 yi1. di4 er4."),
    ],
)
def test_chinese_is_spelled(text: str, pinyin: str) -> None:
    assert spelled(text) == pinyin
    assert spelled(pinyin) == pinyin


@pytest.mark.parametrize("text", ["", "Hello there,  it's “quoted”—3.5 of them.", "Grüße, ça va?", "こんにちは"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert spelled(text) == text
