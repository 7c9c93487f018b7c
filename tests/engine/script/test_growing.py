"""A growing text has the sentences of the whole text, however it arrives, and each as soon as it is certain."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.script.format import Format
from engine.script.growing import GrowingText, Unit
from engine.script.reading import Utterance, read_script, utterances
from engine.text import TextOptions

TEXTS = [
    "Hello there, my dear friends. How are you today? I am fine. Bye.",
    'He said "Hello there. How are you?" and left. Then Dr. Smith came at 5 p.m. and it was good. Yes.',
    "今天天气很好。我们去公园吧！你觉得怎么样？好的，那就这样。“真的吗？”他问。我点了点头，然后走了。",
    "<think>Hmm. What now? OK.</think>The answer is 42. It is known. Really it is.",
    "# Title\n\n- One item here\n- Another item\n\nSee [a link. Really](http://x.com/a) now. [pause:1.5s] After. Yes.",
    "It costs $5. Then x=2 and $6. Code:\n```python\nprint('x. Y')\n```\nDone now. All good here.",
    "We paid 3.5 million on May 5, 2024 (see below. And more). Then 12:30 came; nothing happened, as usual. " * 3,
    "No end of a sentence here, but words and words and words and more of them, and so it goes on for quite a while "
    * 4,
]


def key(unit: Unit) -> tuple[object, ...]:
    if isinstance(unit, Utterance):
        return (unit.sentence.text, unit.sentence.traced.span)
    return (unit.seconds, unit.span)


def of_whole(text: str, options: TextOptions) -> list[tuple[object, ...]]:
    return [key(unit) for unit in utterances(read_script(text, Format(), None, 0).pieces, options)]


def grown(text: str, sizes: list[int], options: TextOptions) -> list[tuple[object, ...]]:
    growing, units, at = GrowingText(options), list[Unit](), 0
    while at < len(text):
        size = sizes[at % len(sizes)]
        units += growing.write(text[at : at + size])
        at += size
    return [key(unit) for unit in [*units, *growing.flush()]]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("split", ["sentence", "clause"])
def test_the_parts_do_not_matter(text: str, split: str) -> None:
    options = TextOptions(split=split)  # type: ignore[arg-type]
    for sizes in ([1], [4], [3, 17, 5, 1], [len(text)]):
        assert grown(text, sizes, options) == of_whole(text, options)


PIECES = ["Hello there. ", "How are you? ", "He said ", '"I am here. ', 'Are you?" ', "3.5 ", "Dr. ", "ok, "]
PIECES += ["今天很好。", "a", "\n", "(see. ", "it) "]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=25), st.lists(st.integers(1, 30), min_size=1, max_size=5))
@example(['He said "I am here. How are you? "I am here. Hello there. "I am here. '], [1])  # it is read anew as it grows
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_or_said_twice(pieces: list[str], sizes: list[int]) -> None:
    text = "".join(pieces)
    spans = [unit[1] for unit in grown(text, sizes, TextOptions())]
    assert spans == sorted(spans)  # type: ignore[type-var]
    said = "".join(text[slice(*span)] for span in spans)  # type: ignore[misc]
    assert [char for char in said if char.isalnum()] == [char for char in text if char.isalnum()]


def test_a_sentence_is_returned_before_the_next_is_complete() -> None:
    growing = GrowingText(TextOptions())
    assert growing.write("Hello there, my dear friends. ") == []
    assert [key(unit)[0] for unit in growing.write("How are you")] == ["Hello there, my dear friends."]
    assert growing.pending


def test_a_flush_returns_what_is_there_once() -> None:
    growing = GrowingText(TextOptions())
    growing.write("Half a sent")
    assert [key(unit)[0] for unit in growing.flush()] == ["Half a sent"]
    assert not growing.pending
    assert growing.flush() == []
    growing.write("ence.")
    [unit] = growing.flush()
    assert key(unit) == ("ence.", (11, 16))


def test_a_long_text_is_returned_as_it_comes() -> None:
    text = "This is a sentence of a very long text, and it has some words. " * 200
    growing, said = GrowingText(TextOptions()), 0
    for at in range(0, len(text), 50):
        for unit in growing.write(text[at : at + 50]):
            said = max(said, key(unit)[1][1])  # type: ignore[index]
        assert at - said < 600
    assert len(text) > 3 * 4096
