"""Lexicons: whole words, the longest, the most specific, and of two lexicons the one that goes over the other."""

from itertools import permutations

import pytest

from engine.text import Lexicon, TextOptions, spoken_sentences
from engine.text.lexicon import Entry


def read(text: str, lexicon: Lexicon) -> str:
    return " | ".join(sentence.text for sentence in spoken_sentences(text, TextOptions(lexicon=lexicon)))


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("A GIF, gif, Gif, GIFs.", {"GIF": "jif"}, "A jif, gif, Gif, GIFs."),
        ("A GIF, gif, Gif, gifs.", {"gif": "jif"}, "A jif, jif, jif, gifs."),
        ("我在重庆用GIF，重庆市很大", {"重庆": "崇庆", "GIF": "吉夫", "重庆市": "大城"}, "我在崇庆用吉夫，大城很大"),
        (
            "C++ and C# and a.b* and xC++",
            {"c++": "cpp", "C#": "c sharp", "a.b*": "dots"},
            "cpp and c sharp and dots and xC++",
        ),
        ("New York, New\nYork and New  York", {"New York": "NYC", "New": "nu"}, "NYC, NYC and NYC"),
        ("I don't, I don’t.", {"don't": "doent"}, "I doent, I doent."),
        ("I don't, I don’t.", {"don’t": "doent"}, "I doent, I doent."),
        ("Nguyen's and Nguyen’s", {"Nguyen": "Win"}, "Win's and Win’s"),
        ("**GIF** and _GIF_ and my_GIF", {"GIF": "jif"}, "jif and jif and my jif"),
        ("café and cafe\u0301", {"cafe\u0301": "kaffay"}, "kaffay and kaffay"),
        ("An empty word", {"empty": ""}, "An word"),
        ("a b", {"a": "b", "b": "a"}, "b a"),
    ],
)
def test_words(text: str, words: dict[str, str], expected: str) -> None:
    assert read(text, Lexicon.of_words(words)) == expected


def test_a_respelling_that_no_tokenizer_takes_is_mended_without_normalization_too() -> None:
    options = TextOptions(lexicon=Lexicon.of_words({"Hi": "Hello\ud800"}), normalize=False)
    assert [sentence.text for sentence in spoken_sentences("Hi there", options)] == ["Hello there"]


def test_what_says_more_counts_in_any_order() -> None:
    entries = [Entry("ai", "any"), Entry("AI", "capitals"), Entry("AI", "chinese", True), Entry("AI lab", "longest")]
    for order in permutations(entries):
        lexicon = Lexicon(order)
        assert read("Ai and AI and AI lab.", lexicon) == "any and capitals and longest."
        assert read("这是AI吗？", lexicon) == "这是chinese吗？"


def test_a_request_s_words_go_over_those_of_the_server_whatever_their_language_and_case() -> None:
    server = Lexicon([Entry("AI", "server", False), Entry("AI", "服务器", True), Entry("AI lab", "their lab")])
    lexicon = Lexicon.of_words({"ai": "mine"}).over(server)
    assert read("It is AI at the AI lab.", lexicon) == "It is mine at the their lab."
    assert read("这是AI吗？", lexicon) == "这是mine吗？"
