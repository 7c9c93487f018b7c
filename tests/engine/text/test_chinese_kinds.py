"""Every kind of thing that Chinese text has figures and signs for, and beside each what only looks like it."""

import pytest

from engine.text import TextOptions, normalise

SPOKEN = {
    "日期": {
        "78年3月": "七八年三月",
        "70后和85后": "七零后和八五后",
        "03年": "零三年",
        "公元1876年": "公元一八七六年",
        "3000年的历史": "三千年的历史",
        "20年前": "二十年前",
        "3月-5月": "三月到五月",
        "截至2011-09": "截至二零一一年九月",
        "2003-2005年": "二零零三到二零零五年",
        "2018-2019赛季": "二零一八到二零一九赛季",
        "2 月 14 日": "二月十四日",
    },
    "时间": {
        "下午4：05分": "下午四点零五分",
        "早上8:00-9:30": "早上八点到九点三十分",
        "06:07:08出发": "六点零七分八秒出发",
        "以4:20获胜": "以四比二十获胜",
        "比分是3:1": "比分是三比一",
        "以4-2击败": "以四比二击败",
    },
    "数量": {
        "2个和2米": "两个和两米",
        "第2个": "第二个",
        "1-2个": "一到两个",
        "3/5的水": "五分之三的水",
        "2又1/3": "二又三分之一",
        "涨了-2%": "涨了负百分之二",
        "零下，-8°C": "零下，零下八摄氏度",
        "约90m²": "约九十平方米",
        "要20ms": "要二十毫秒",
        "限速60km/h": "限速六十公里每小时",
        "￥2,499元": "二千四百九十九元",
        "6.50元/斤": "六点五元每斤",
        "US$5万": "五万美元",
        "若a≥3和±4": "若a大于等于三和正负四",
        "10⁻⁶米": "十的负六次方米",
        "有 3 个人": "有三个人",
        "气温-4℃~6℃": "气温零下四摄氏度到六摄氏度",
        "￥8.5/月": "八点五元每月",
    },
    "代码": {
        "验证码308172": "验证码三零八幺七二",
        "尾号是0415": "尾号是零四幺五",
        "请拨打119": "请拨打幺幺九",
        "打12306电话": "打幺二三零六电话",
        "歼-10和运-20": "歼十和运二十",
        "图-154": "图一五四",
        "波音737-800": "波音七三七八零零",
        "701路公交": "七零幺路公交",
        "9·18事变": "九一八事变",
        "安卓 14 和 iOS 17": "安卓十四和 iOS 十七",
        "PM2.5超标": "PM二点五超标",
        "5G手机，AI芯片，MP3": "五G手机，AI芯片，MP三",
        "第Ⅳ章": "第四章",
    },
}
KEPT = ["二十年前的事", "一会儿就来，十分高兴。", "我们——他们都去；真的？！", "《红楼梦》第三回，“好”。", "甲、乙、丙"]
CASES = [(written, spoken) for kind in SPOKEN.values() for written, spoken in kind.items()]


@pytest.mark.parametrize(("written", "spoken"), CASES)
def test_a_kind_is_read(written: str, spoken: str) -> None:
    assert normalise(written) == spoken


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("text", "chinese", "english"),
    [
        ("42", "四十二", "forty-two"),
        ("3.5 km", "三点五公里", "three point five kilometers"),
        ("2024-05-06", "二零二四年五月六日", "May sixth, twenty twenty-four"),
        ("50%!", "百分之五十!", "fifty percent!"),
    ],
)
def test_the_asked_language_decides_where_the_text_does_not(text: str, chinese: str, english: str) -> None:
    assert normalise(text, TextOptions(language="zh")) == chinese
    assert normalise(text, TextOptions(language="en")) == normalise(text) == english


@pytest.mark.parametrize(
    ("text", "spoken"),
    [("There are 3 of us.", "There are three of us."), ("我们有3个人。", "我们有三个人。")],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_text_with_words_is_read_in_its_own_language(text: str, spoken: str, language: str) -> None:
    assert normalise(text, TextOptions(language="en" if language == "en" else "zh")) == spoken
