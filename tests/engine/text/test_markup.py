"""Addresses, markup and emoji: what a listener should hear of them."""

import pytest

from engine.text import TextOptions, normalise

ADDRESSES = {
    "https://docs.example.org/get-started": "docs dot example dot org slash get dash started",
    "see http://localhost:9000/x": "see localhost colon nine zero zero zero slash x",
    "www.example.net": "W W W dot example dot net",
    "Mail jo.b_7@mail.example.com!": "Mail jo dot b underscore seven at mail dot example dot com!",
    "run on localhost:5432.": "run on localhost colon five four three two.",
    "10.0.0.7:80": "one zero dot zero dot zero dot seven colon eight zero",
    "at example.com/shop today": "at example dot com slash shop today",
    "open setup.cfg": "open setup dot cfg",
    "in /etc/hosts.d/a": "in slash etc slash hosts dot d slash a",
    "C:\\Temp\\b.txt": "C colon backslash Temp backslash b dot txt",
    "@jane_doe said #GoodMorning": "at jane underscore doe said hashtag Good Morning",
    "写信到li@example.cn吧": "写信到 li 艾特 example 点 cn 吧",
    "https://example.com/" + "a" * 100: "example dot com",
    "(https://example.com).": "(example dot com).",
}
ADDRESSES_KEPT = [
    "Done.Next one",
    "and/or, he/she",
    "C# or F#",
    "e-mail @ home",
    "Hello.World",
    "...well",
    "a.m.",
    "U.S.A.",
]
MARKUP = {
    "<think>2+2 is 4, so</think>It is four.": "It is four.",
    "so it is</think>Four.": "Four.",
    "<p>One &amp; <b>two</b></p><p>Three&nbsp;</p>": "One and two. Three",
    "x &lt; y": "x < y",
    "<script>alert(1)</script>Hi": "Hi",
    "Hi <!-- not this --> there": "Hi there",
    "[our page](https://example.com/a_(b)) is up": "our page is up",
    "![a red fox](fox.png)": "a red fox",
    "[![logo](a.png)](https://example.com)": "logo",
    "so it is.[^1]": "so it is.",
    "| Tea | $2 |\n|---|---:|\n| Milk | $3 |": "Tea, two dollars. Milk, three dollars.",
    "run `ls` or ``pwd``": "run ls or pwd",
    "```sh\nls\n```\nThat was it.": "ls. That was it.",
    "- [x] done\n- [ ] open": "done. open",
    "**a** _b_ ~~c~~ ***d***": "a b c d",
    "so $a = 4$ and $x$": "so a equals four and x",
    "from $4 to $5": "from four dollars to five dollars",
    r"\(\frac{a}{b} \times 2\)": "a over b times two",
}
MARKUP_KEPT = ["I <3 you", "a < b > c", "if (a) then [b]", "<- back", "x/y"]


@pytest.mark.parametrize(("written", "spoken"), (ADDRESSES | MARKUP).items())
def test_it_is_spoken_as_a_person_reads_it(written: str, spoken: str) -> None:
    assert normalise(written) == spoken


@pytest.mark.parametrize("text", ADDRESSES_KEPT + MARKUP_KEPT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert normalise(text) == text


def test_code_blocks_are_read_or_skipped() -> None:
    text = "Before.\n```py\nname = 1\n```\nAfter."
    assert normalise(text) == "Before. name equals one. After."
    assert normalise(text, TextOptions(code_blocks="skip")) == "Before. After."
    assert normalise("Before.\n~~~\nopen", TextOptions(code_blocks="skip")) == "Before."


def test_emoji_are_dropped_or_named() -> None:
    named = TextOptions(emoji="name")
    assert normalise("Nice 👍🏽 work 🎉!") == "Nice work!"
    assert normalise("Nice 🎉!", named) == "Nice party popper!"
    assert normalise("好🎉", named) == "好拉炮彩带"
    assert normalise("👨‍👩‍👧", named) == "family man woman girl"
    assert normalise("Plain text: (c) 50 :)", named) == "Plain text: (c) fifty :)"


def test_half_a_pair_is_dropped() -> None:
    assert normalise("a\ud83db") == "ab"
    assert normalise("a\ud83db", TextOptions(normalize=False)) == "ab"


def test_without_normalisation_the_text_is_spoken_as_it_came() -> None:
    text = "It costs $3.50, **really** <b>so</b> 🎉."
    assert normalise(text, TextOptions(normalize=False)) == text
