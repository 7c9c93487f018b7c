"""SSML: what each element does, and hostile documents."""

import pytest

from engine.errors import InvalidRequest
from engine.script.format import Format
from engine.script.reading import Utterance, read_script, utterances
from engine.script.tree import Mark, Pause, Script, Speech
from engine.text import TextOptions


def script(inside: str) -> Script:
    return read_script(f"<speak>{inside}</speak>", Format("ssml", {"Ann": "nova"}), None, 0)


def spoken(inside: str) -> list[str | float]:
    """The sentences and the seconds of the pauses."""
    return [
        unit.sentence.text if isinstance(unit, Utterance) else unit.seconds
        for unit in utterances(script(inside).pieces, TextOptions())
    ]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("Tom &amp; Ann &#x41;&#66; said <![CDATA[so]]>.", ["Tom and Ann AB said so."]),
        (
            "<p>One paragraph of text</p><p>And another one</p>",
            ["One paragraph of text.", "And another one"],
        ),
        ("<s>One sentence of text</s><s>Another one of them</s>", ["One sentence of text.", "Another one of them"]),
        ("The <sub alias='World Wide Web Consortium'>W3C</sub> says.", ["The World Wide Web Consortium says."]),
        ("Wait<break time='250ms'/>here<break time='1.5s'/>now", ["Wait", 0.25, "here", 1.5, "now"]),
        ("a<break/>b<break strength='none'/>c<break strength='x-strong'/>d", ["a", 0.5, "bc", 1.5, "d"]),
        ("Spell <say-as interpret-as='characters'>ab1</say-as>.", ["Spell A B one."]),
        ("Code <say-as interpret-as='digits'>407</say-as>.", ["Code four zero seven."]),
        ("<say-as interpret-as='cardinal'>1,407</say-as> men", ["one thousand four hundred and seven men"]),
        ("The <say-as interpret-as='ordinal'>3</say-as> man", ["The third man"]),
        ("On <say-as interpret-as='date' format='dmy'>5/6/2024</say-as>.", ["On June fifth, twenty twenty-four."]),
        ("On <say-as interpret-as='date' format='mdy'>5/6/2024</say-as>.", ["On May sixth, twenty twenty-four."]),
        ("At <say-as interpret-as='time'>14:30</say-as>.", ["At fourteen thirty."]),
        ("Call <say-as interpret-as='telephone'>5551234</say-as>.", ["Call five five five one two three four."]),
        ("Call <say-as interpret-as='telephone'>555 1234</say-as>.", ["Call five five five, one two three four."]),
        ("Call <say-as interpret-as='telephone'>(030) 12</say-as>.", ["Call zero three zero, one two."]),
        ("请拨打<say-as interpret-as='telephone'>110</say-as>。", ["请拨打幺幺零。"]),
        ("Pay <say-as interpret-as='currency'>USD 42.50</say-as>.", ["Pay forty-two dollars and fifty cents."]),
        ("第<say-as interpret-as='cardinal'>12</say-as>课，今天很好。", ["第十二课，今天很好。"]),
        ("It says <lang xml:lang='zh-CN'>2024</lang> here.", ["It says 二千零二十四 here."]),
        (
            "Say <lang xml:lang='zh'>1<break/>2 <voice name='Ann'>3</voice></lang> now",
            ["Say 一", 0.5, "二", "三", "now"],
        ),
        (" <lang xml:lang='zh'><prosody rate='fast'>12</prosody></lang> men", ["十二", "men"]),
        ("Say <lang xml:lang='zh'><say-as interpret-as='cardinal'>12</say-as></lang>.", ["Say 十二."]),
        ("<p xml:lang='zh'><say-as interpret-as='digits'>12</say-as></p> Now.", ["一二", "Now."]),
        ("Code <say-as interpret-as='digits'>４０７</say-as>.", ["Code four zero seven."]),
    ],
)
def test_elements(inside: str, expected: list[str | float]) -> None:
    assert spoken(inside) == expected


DATES = {
    "DMY": ("5/6/2024", "June fifth, twenty twenty-four", "二零二四年六月五日"),
    "dmy": ("5/6/24", "June fifth, twenty-four", "二四年六月五日"),
    "ydm": ("2024 6 5", "May sixth, twenty twenty-four", "二零二四年五月六日"),
    "dm": ("5/6", "June fifth", "六月五日"),
    "md": ("5/6", "May sixth", "五月六日"),
    "my": ("5/2024", "May twenty twenty-four", "二零二四年五月"),
    "ym": ("2024-05", "May twenty twenty-four", "二零二四年五月"),
    "y": ("1984", "nineteen eighty-four", "一九八四年"),
}


@pytest.mark.parametrize("style", DATES)
def test_a_date_has_the_parts_of_its_format(style: str) -> None:
    written, english, chinese = DATES[style]
    date = f"<say-as interpret-as='date' format='{style}'>{written}</say-as>"
    assert spoken(f"It was {date}.") == [f"It was {english}."]
    assert spoken(f"那是{date}。") == [f"那是{chinese}。"]


@pytest.mark.parametrize(
    ("style", "date"), [("dmy", "31/2/2024"), ("dm", "1/2/2024"), ("ddd", "1/2/3"), ("xyz", "1/2/3"), ("y", "9" * 99)]
)
def test_a_date_that_does_not_fit_its_format_is_named(style: str, date: str) -> None:
    assert script(f"<say-as interpret-as='date' format='{style}'>{date}</say-as>").ignored == ("say-as@date",)


@pytest.mark.parametrize(
    "inside", ["<say-as interpret-as='cardinal'>12</say-as>", "<lang xml:lang='fr'>12</lang>", "12"]
)
def test_numbers_without_letters_are_read_in_the_language_of_the_document(inside: str) -> None:
    text = f"<speak xml:lang='zh-CN'>{inside}</speak>"
    [unit] = utterances(read_script(text, Format("ssml"), None, 0).pieces, TextOptions())
    assert isinstance(unit, Utterance)
    assert unit.sentence.text == "十二"


def test_a_namespace_and_a_declaration_are_allowed() -> None:
    text = '<?xml version="1.0"?><speak xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en">Hi.</speak>'
    [piece] = read_script(text, Format("ssml"), None, 0).pieces
    assert isinstance(piece, Speech)
    assert (piece.text, piece.language) == ("Hi.", "en")
    assert text[slice(*piece.span)] == "Hi."


def test_voices_and_rates() -> None:
    pieces = script(
        "a<voice name='Ann'>b<prosody rate='120%'>c<prosody rate='+50%'>d</prosody></prosody></voice>e"
    ).pieces
    assert [(p.text, p.voice, round(p.tempo, 3)) for p in pieces if isinstance(p, Speech)] == [
        ("a", None, 1),
        ("b", "nova", 1),
        ("c", "nova", 1.2),
        ("d", "nova", 1.8),
        ("e", None, 1),
    ]


@pytest.mark.parametrize(
    ("rate", "tempo"), [("x-slow", 0.5), ("fast", 1.25), ("80%", 0.8), ("-20%", 0.8), ("1.5", 1.5), ("default", 1)]
)
def test_rates(rate: str, tempo: float) -> None:
    [piece] = script(f"<prosody rate='{rate}'>x</prosody>").pieces
    assert isinstance(piece, Speech)
    assert piece.tempo == pytest.approx(tempo)


def test_marks_keep_their_place() -> None:
    text = "<speak>One. <mark name='here'/>Two.</speak>"
    result = read_script(text, Format("ssml"), None, 0)
    assert result.marks == (Mark("here", text.index("<mark")),)
    assert [type(piece) for piece in result.pieces] == [Speech]


def test_what_has_no_effect_is_named_and_its_text_is_spoken() -> None:
    inside = "a <emphasis>b</emphasis> <prosody pitch='high'>c</prosody> <say-as interpret-as='x'>d</say-as> <audio/>"
    assert spoken(inside) == ["a b c d"]
    assert script(inside).ignored == ("emphasis", "prosody@pitch", "say-as@x", "audio")
    assert script("<sub>a</sub> <say-as>b</say-as>").ignored == ("sub@alias", "say-as@interpret-as")


BOMB = (
    '<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {name} "{f"&{inner};" * 10}">' for inner, name in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><speak>&i;</speak>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1"),
        ("hello", "line 1, column 1"),
        ("<speak>\n  <p>x</speak>", "line 2, column 9: mismatched tag"),
        ("<speak>a < b</speak>", "line 1, column 11"),
        ("<speak>&nbsp;</speak>", "undefined entity"),
        ("<speak>\x00</speak>", "line 1, column 8"),
        ("<speak>\ud800</speak>", "lone surrogate"),
        ("<p>x</p>", "SSML begins with <speak>, not with <p>"),
        ("<speak><break time='31s'/></speak>", "A pause at line 1 is 31 s"),
        ("<speak>\n<break time='soon'/></speak>", r"A <break> has a time .* \(line 2, column 1\)"),
        ("<speak><prosody rate='-200%'>x</prosody></speak>", "A rate is"),
        ("<speak>" + "<p>" * 2000, "more than 100 elements"),
        (BOMB, "document type"),
        ('<!DOCTYPE s SYSTEM "file:///etc/passwd"><speak/>', "document type"),
        ("<speak>" + "x" * 4_000_000, "not well-formed"),
        ("<speak>" + "<break/>" * 50_000 + "</speak>", "at most 300 s"),
    ],
)
def test_faults_are_named_with_their_place(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        read_script(text, Format("ssml"), None, 0)
    assert caught.value.param == "input"


def test_an_empty_document_says_nothing() -> None:
    assert script("").pieces == ()
    assert spoken(" <break time='1s'/> ") == [1.0]
    assert isinstance(script("<break time='1s'/>").pieces[0], Pause)
