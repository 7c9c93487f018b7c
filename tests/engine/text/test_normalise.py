import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text import normalise

NASTY = [
    "<think>",
    "[a",
    "![a](",
    "`",
    "$a",
    "<b ",
    "&a",
    "a.b",
    "a/",
    "1 000",
    "1:1:",
    "第1",
    "1月",
    "I ",
    "St. ",
    "1×",
    "^",
    "e\u0301\u0301",
    "|-|\n",
    "```\n",
    "\\(",
    "1",
    ",",
    ".",
    "-",
    "1,",
    "1.",
    "1-",
    "1:",
    "1/",
    "$1",
    "111,",
    "a@",
    "+1 ",
    "*",
    "_",
    "\n",
    "(1",
    "1~1",
]

ENGLISH = {
    "I have 1,234 apples.": "I have one thousand two hundred and thirty-four apples.",
    "3.14": "three point one four",
    "It is -5 today.": "It is minus five today.",
    "about .5 or −5": "about zero point five or minus five",
    "50% off, then 12.5%": "fifty percent off, then twelve point five percent",
    "$3.50": "three dollars and fifty cents",
    "$1 and $0.99": "one dollar and ninety-nine cents",
    "€20 or 20€": "twenty euros or twenty euros",
    "£1.01": "one pound and one penny",
    "¥3.50": "three point five yen",
    "-$5": "minus five dollars",
    "$1.5 million": "one point five million dollars",
    "$3k": "three thousand dollars",
    "the 1st, 2nd and 22nd": "the first, second and twenty-second",
    "in 1984": "in nineteen eighty-four",
    "1984 was good": "nineteen eighty-four was good",
    "since 2005": "since two thousand and five",
    "1984 pages": "one thousand nine hundred and eighty-four pages",
    "1500 people": "one thousand five hundred people",
    "1,984": "one thousand nine hundred and eighty-four",
    "the 1980s": "the nineteen eighties",
    "2024-05-06": "May sixth, twenty twenty-four",
    "On May 6, 2024.": "On May sixth, twenty twenty-four.",
    "Jan. 3": "January third",
    "2024-13-45": "two zero two four, one three, four five",
    "at 3:30": "at three thirty",
    "15:45": "fifteen forty-five",
    "3:00 and 9:05": "three o'clock and nine oh five",
    "3:00 pm, 3pm": "three PM, three PM",
    "3 amazing cats": "three amazing cats",
    "16:9": "sixteen to nine",
    "pages 10-20": "pages ten to twenty",
    "1990–2000": "nineteen ninety to two thousand",
    "555-1234": "five five five, one two three four",
    "+1 (555) 123-4567 now": "one, five five five, one two three, four five six seven now",
    "5551234567": "five five five one two three four five six seven",
    "007": "zero zero seven",
    "1000000000": "one billion",
    "5 km, 1 km": "five kilometers, one kilometer",
    "3kg at 20°C and -5℃": "three kilograms at twenty degrees Celsius and minus five degrees Celsius",
    "60km/h": "sixty kilometers per hour",
}
CHINESE = {
    "2024年5月6日": "二零二四年五月六日",
    "2024年05月06日": "二零二四年五月六日",
    "2024-05-06我们见面。": "二零二四年五月六日我们见面。",
    "2010-2015年": "二零一零到二零一五年",
    "1000年前": "一千年前",
    "打了50%的折": "打了百分之五十的折",
    "降了-5%的": "降了负百分之五的",
    "10-20%的人": "百分之十到二十的人",
    "圆周率是3.14。": "圆周率是三点一四。",
    "12:30出发": "十二点三十分出发",
    "下午2:05见": "下午两点零五分见",
    "１２：３０出发": "十二点三十分出发",
    "他花了¥3.50": "他花了三点五元",
    "100元和3.50元": "一百元和三点五元",
    "他花了$5万": "他花了五万美元",
    "我有2个苹果": "我有两个苹果",
    "第2个": "第二个",
    "他上2年级": "他上二年级",
    "12个人": "十二个人",
    "1,234人": "一千二百三十四人",
    "温度是-5°C": "温度是零下五摄氏度",
    "跑了5km。": "跑了五公里。",
    "电话13812345678": "电话幺三八幺二三四五六七八",
    "打010-12345678吧": "打零幺零，幺二三四五六七八吧",
    "16:9的屏幕": "十六比九的屏幕",
    "1000000000人": "十亿人",
}
MIXED = {
    "我用Python 3.11写了3个程序": "我用Python 三点一一写了三个程序",
    "iPhone 15很好": "iPhone 十五很好",
    "Hello 世界 in 2019.": "Hello 世界 in twenty nineteen.",
    "I have 3 apples. 我有3个苹果。": "I have three apples. 我有三个苹果。",
}
UNCHANGED = [
    "Hello, world! How are you?",
    "今天天气很好，我们去玩吧！真的……",
    "a < b and c > d",
    "I <3 you",
    "R&D at AT&T, either/or, mother-in-law, C++ and C#",
    "Wait... what? No — really.",
    "Mr. Jones met Mrs. Hall at the U.S. embassy. Yes, you may.",
    "Привет, мир",
    "",
]
CLEANED = {
    "a \t b\u3000c\u00a0d": "a b c d",
    "a\u200bb\u202ec\x07d\u00ade\ufeff": "abcde",
    "Ｈｅｌｌｏ，ｗｏｒｌｄ！": "Hello，world！",
    "Hi 👨‍👩‍👧 there 🎉! ☕": "Hi there!",
    "I❤️U": "I U",
    "👍🏽": "",
    "cafe\u0301": "café",
    "ﬁne Ⅳ": "fine IV",
    "**bold** and `code`": "bold and code",
    "lone \ud800 surrogate": "lone surrogate",
    "Heading\n\nText here.": "Heading. Text here.",
    "# Title\nText": "Title. Text",
    "Some text\nwrapped here.": "Some text wrapped here.",
    "Some text\n\nwrapped here.": "Some text. wrapped here.",
    "- tea\n- milk": "tea. milk",
    "Dear Bob,\n\nHi": "Dear Bob. Hi",
    "Shopping:\n* Tea\n* Milk!": "Shopping: Tea. Milk!",
    "标题\n第一行\r\n第二行": "标题。 第一行。 第二行",
    "Really?\nYes": "Really? Yes",
    "He said “go”\nThen": "He said “go”. Then",
    "One\n---\nTwo": "One. Two",
}


@pytest.mark.parametrize(
    ("text", "spoken"), (ENGLISH | CHINESE | MIXED | CLEANED | dict(zip(UNCHANGED, UNCHANGED, strict=True))).items()
)
def test_text_is_made_speakable(text: str, spoken: str) -> None:
    assert normalise(text) == spoken


@pytest.mark.parametrize("text", [*ENGLISH, *CHINESE, *MIXED, *CLEANED, *UNCHANGED])
def test_what_is_normal_stays_as_it_is(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_any_text_becomes_one_bounded_line(text: str) -> None:
    spoken = normalise(text)
    assert spoken == " ".join(spoken.split())
    assert len(spoken) <= 40 * len(text) + 1
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") for char in spoken)


@given(st.text(alphabet="0123456789.,-:/$%€¥+() apmkT年月日个。\n", max_size=60))
def test_no_string_of_signs_and_digits_is_silenced(text: str) -> None:
    assert any(map(str.isalnum, normalise(text))) == any(map(str.isalnum, text))


LETTERS = st.characters(categories=["Lu", "Ll", "Lo"], max_codepoint=0x9FFF)


@given(st.lists(st.one_of(LETTERS, st.sampled_from([" ", "\n", "，", ".", "*", "☕", "\u200b"]))).map("".join))
def test_no_letter_is_dropped(text: str) -> None:
    def letters(of: str) -> str:
        folded = unicodedata.normalize("NFKC", of)
        return "".join(char for char in folded if char.isalpha())

    assert letters(normalise(text)) == letters(text.replace("\u200b", ""))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", NASTY)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    assert len(normalise((unit * 65536)[:65536])) <= 40 * 65536


def test_long_numbers_are_read_digit_by_digit() -> None:
    assert normalise("9" * 4096) == " ".join(["nine"] * 4096)
    assert normalise("号码" + "9" * 4096) == "号码" + "九" * 4096
