"""Numbers that are identifiers: telephone numbers, codes, versions, models, flights, house numbers, serials."""

from __future__ import annotations

import re

from engine.text import chinese, english
from engine.text.numerals import END, START
from engine.text.rules import Place, rule
from engine.text.script import HAN, LATIN

_CODE_WORDS = re.compile(
    r"(?i:\b(?:(?:pass|zip|post|area|bar|verification|security|access|country|promo|error"
    r"|status|booking)?[ ]?code|pin|otp|cvv|password|zip|ext(?:ension)?\.?|flight"
    r"|serial|id|ssn|isbn|passport|confirmation|tracking|ticket|account|acct\.?|ending in"
    r"|ends (?:in|with)|room|suite|apt\.?|apartment|p\.?o\.? box|route|highway|interstate)"
    r"(?:[ ](?:number|no\.?|num|code|id))?(?:[ ](?:is|was|ending in|of|to))?[ ]?[:#=]?[ ]?)\Z"
    r"|(?i:\b(?:phone|telephone|order|invoice|case|model|card)[ ](?:number|no\.?|num|code"
    r"|id)(?:[ ](?:is|was))?[ ]?[:#]?[ ]?)\Z"
    r"|(?<![A-Za-z])[A-Z]{2} \Z"
)
_DIALLED = re.compile(r"(?i:\b(?:call|dial|dialed|called|dialing|calling|text|phone|ring)[ ])\Z")
_NOT_DIALLED = re.compile(
    r"[ ](?!(?:for|now|if|immediately|in|or|and|when|to|from|on|at|right|before|after|as|first"
    r"|emergency|because)\b)[A-Za-z]"
)
_HAN_CODE = re.compile(
    rf"(?:验证码|校验码|密码|口令|取件码|邀请码|邮编|邮政编码|尾号|编号|代码|代号|序号|卡号|学号|工号|账号|帐号|户号|手机号?|座机|固话|电话|传真|号码|拨打|拨|致电|呼叫|热线|客服"
    rf"|QQ群?|qq|微信号?|门牌号?|房间号?|车牌号?|航班号?|车次|区号|分机号?|身份证号?|单号"
    rf"|订单号?|股票代码|流水号|型号|波音|空客|拨通|按|(?:发送?|短信)[^0-9，。；]{{0,4}}(?:到"
    rf"|至|给))(?:码)?[{HAN}]{{0,1}}(?:是|为|：|:|，|,|“|\"|「)?[ ]?\Z"
    rf"|(?:\b[A-Z]{{1,2}})\Z"
)
_HAN_DIALLED = re.compile(r"(?:打|拨|给|请拨)[ ]?\Z")
_HAN_CODE_AFTER = re.compile(
    r"[ ]?(?:(?:打个?|的)?电话|热线|房间?|室|航班|次列车|次航班|次高铁|路(?:公交|车|电车)|国道"
    r"|省道|高速|新政|事件|晚会|大促|购物节|惨案|事变|政变|教室|专线)"
)


@rule("code", rf"(?<![0-9{LATIN}.,:])(?P<digits>[0-9]{{3,}})(?![0-9]|[.,:/][0-9]|[%°]|-[0-9])")
def in_context(match: re.Match[str], place: Place) -> str | None:
    """Digits next to a word that marks them as a code: call 911, PIN 1234, 尾号1702."""
    number = match["digits"]
    if place.chinese:
        if re.match(r"[ ]?(?:个|位|年|元|次(?!列|航|高)|人|多|万|亿|块|天|条|页|台|名)", place.after):
            return None
        named = _HAN_CODE.search(place.before) or _HAN_CODE_AFTER.match(place.after)
        dialled = _HAN_DIALLED.search(place.before) and (
            place.after[:1] in ("", "。", "，", "！", "？", " ")
            or _HAN_CODE_AFTER.match(place.after)
            or len(number) == 5
        )
        if not (named or dialled):
            return None
        return chinese.phone(number)
    if _CODE_WORDS.search(place.before) or (_DIALLED.search(place.before) and not _NOT_DIALLED.match(place.after)):
        two = place.before.rstrip().endswith(("oute", "ighway", "nterstate"))
        return None if two else english.digits(number)
    return None


@rule(
    "telephone",
    rf"""(?<![{LATIN}0-9_.])(?<![0-9]-)(?:
      \+(?=(?:[ ().-]{{0,3}}[0-9]){{7}})[0-9]{{1,3}}[ .-]?(?:\([0-9]{{1,5}}\)[ .-]?)?
        [0-9]{{1,15}}(?:[ .-][0-9]{{1,8}}){{0,5}}
    | (?:[0-9]{{1,3}}[ -]?)?\(0?[0-9]{{2,3}}\)[ -]?[0-9]{{3,4}}[ -]?[0-9]{{4}}
    | (?:1[ .-])?[0-9]{{3}}(?P<mark>[ .-])[0-9]{{3}}(?P=mark)[0-9]{{4}}
    | 1-?8(?:00|33|44|55|66|77|88)(?:-[0-9A-Z]+){{1,6}}
    | (?>[0-9]+(?:-[0-9]+){{2,}}) | [0-9]{{5}}-[0-9]{{4}}
    | (?:[0-9]{{4}}[ ]){{2,5}}[0-9]{{2,4}}
    | (?:\+?86[- ]?)1[3-9][0-9]{{9}} | 0[0-9]{{2,3}}[- ][0-9]{{3,4}}[ -]?[0-9]{{4}} | [0-9]{{3}}-[0-9]{{4}}
    | 1[3-9][0-9][ -][0-9]{{4}}[ -][0-9]{{4}}
    | 400[ -][0-9]{{3}}[ -][0-9]{{4}}){END}(?!-[0-9])""",
)
def telephone(match: re.Match[str], place: Place) -> str | None:
    """+1 (123) 456-7890; 1-800-GO-U-HAUL; 138 1234 5678; groups of digits with hyphens."""
    return dialled(match[0], in_chinese=place.chinese)


def dialled(number: str, *, in_chinese: bool) -> str:
    """A telephone number digit by digit, with a pause between its groups; they are digits, or letters that are said."""
    parts = re.findall("[0-9]+|[A-Z]+", number)
    if in_chinese:
        return ("加" if number.startswith("+") else "") + "，".join(
            chinese.phone(part) if part.isdigit() else part for part in parts
        )
    spoken, free = [], re.match(r"\+?1\D*8(?:00|33|44|55|66|77|88)(?![0-9])", number)
    for index, part in enumerate(parts):
        if part.isalpha():
            spoken.append(part)
        else:
            spoken.append("eight hundred" if free and index == 1 and part == "800" else english.digits(part))
    words = [spoken[0]]
    for before, part in zip(parts, spoken[1:], strict=False):
        words.append((" " if before.isalpha() else ", ") + part)
    return "".join(words)


@rule("telephone", r"(?P<digits>1[3-9][0-9]{9})(?![0-9])")
def mobile(match: re.Match[str], place: Place) -> str | None:
    """A Chinese mobile number."""
    return chinese.phone(match["digits"]) if place.chinese else None


@rule("version", r"(?<![0-9_.])(?P<numbers>(?>[0-9]+(?:\.[0-9]+){2,}))(?![0-9])")
def version(match: re.Match[str], place: Place) -> str:
    """1.2.3, 192.168.1.1: the numbers and the points between them; IP addresses digit by digit."""
    numbers = match["numbers"].split(".")
    address = len(numbers) == 4
    read = place.say.digits if address else place.say.cardinal
    point = "点" if place.chinese else " dot " if address else " point "
    return point.join(place.say.digits(number) if number.startswith("0") else read(number) for number in numbers)


_STREET = (
    r"(?:St|Ave|Rd|Blvd|Dr|Ln|Ct|Pl|Hwy|Sq|Pkwy|Ter|Street|Avenue|Road|Boulevard|Drive|Lane"
    r"|Court|Place|Highway|Square|Parkway|Way|Terrace)"
)
STREETS = {
    "St": "Street",
    "Ave": "Avenue",
    "Rd": "Road",
    "Blvd": "Boulevard",
    "Dr": "Drive",
    "Ln": "Lane",
    "Ct": "Court",
}
STREETS |= {"Pl": "Place", "Hwy": "Highway", "Sq": "Square", "Pkwy": "Parkway", "Ter": "Terrace"}


@rule(
    "address",
    rf"{START}(?P<number>[1-9][0-9]{{0,4}})(?P<letter>[A-Z])?(?P<name>(?:[ ](?:[NSEW]\.?"
    rf"|[A-Z][a-z]+|[0-9]{{1,3}}(?:st|nd|rd|th))){{1,4}}?)[ ]"
    rf"(?P<street>{_STREET})(?![A-Za-z])(?P<stop>\.?)",
)
def street(match: re.Match[str], place: Place) -> str | None:
    """1428 Elm St."""
    number, word = match["number"], match["street"]
    if place.chinese:
        return None
    spoken = (
        english.cardinal(number)
        if len(number) < 3
        else english.pairs(number)
        if len(number) < 5
        else english.digits(number)
    )
    directions = {"N": "North", "S": "South", "E": "East", "W": "West"}
    names = [directions.get(name.rstrip("."), name) for name in match["name"].split()]
    names = [english.ordinal(name[:-2]) if name[0].isdigit() else name for name in names]
    stop = match["stop"] if word not in STREETS or re.match(r"\s*\Z|\s+[A-Z“\"]", place.after) else ""
    return " ".join(filter(None, [spoken, match["letter"], *names, STREETS.get(word, word)])) + stop


@rule("code", r"(?P<one>[0-9]{1,2})[·•](?P<two>[0-9]{1,2})(?![0-9])")
def anniversary(match: re.Match[str], place: Place) -> str | None:
    """9·18: a date that is the name of an event."""
    return chinese.digits(match["one"] + match["two"]) if place.chinese else None


@rule("model", r"(?P<one>7[0-9]7)-(?P<two>[0-9]{1,3})(?![0-9-])")
def boeing(match: re.Match[str], place: Place) -> str:
    """737-800: a model, not a range."""
    if place.chinese:
        return chinese.digits(match["one"] + match["two"])
    two = match["two"]
    return f"{english.pairs(match['one'])} {english.pairs(two) if len(two) == 3 else english.cardinal(two)}"


@rule(
    "serial",
    rf"(?<=[{LATIN}])(?P<hyphen>(?:-(?=[0-9]{{1,5}}(?![A-Za-z0-9]))))?(?P<digits>[0-9]+)(?![0-9]|[.,:/-][0-9])|(?P<lone>[0-9]+)(?=[{LATIN}])",
)
def serial(match: re.Match[str], place: Place) -> str | None:
    """The digits in GPT4, C24, B2A23C, x86: one or two are a number, more are read one by one, years as years."""
    digits = match["digits"] or match["lone"]
    if match["lone"] and len(digits) in (3, 4) and not digits.startswith("0"):  # 128G, 1080p
        return chinese.cardinal(digits) if place.chinese else english.pairs(digits)
    if len(digits) <= 2 and not (len(digits) == 2 and digits.startswith("0")):
        spoken = place.say.cardinal(digits)
    elif len(digits) == 4 and digits[:2] in ("19", "20") and not match["lone"]:
        spoken = place.say.year(digits)
    else:
        spoken = place.say.digits(digits)
    return (match["hyphen"] or "") + spoken


@rule("serial", rf"{START}(?P<digits>[0-9]{{3}})(?P<letters>(?:\([A-Za-z0-9]\)){{1,4}})")
def section(match: re.Match[str], place: Place) -> str:
    """401(k), 501(c)(3)."""
    letters = [
        place.say.digits(char) if char.isdigit() else char for char in re.findall("[A-Za-z0-9]", match["letters"])
    ]
    return ("" if place.chinese else " ").join([place.say.digits(match["digits"]), *letters])


@rule("model", rf"(?<=[{HAN}])[-－–](?P<digits>[0-9]{{1,4}})(?P<letter>[A-Z]?)(?![0-9%‰°℃.,:/]|-[0-9])")
def after_han(match: re.Match[str], place: Place) -> str | None:
    """歼-20: a hyphen after a Chinese name is not a minus; but 降了-5% and 是-5 are negative numbers."""
    if re.search(
        r"(?:了|是|为|到|至|达|约|于|从|比|温|度|得|额|值|跌|降|升|涨|减|增|加|乘|除|等于|负|差|和|与|或|数|分|有)\Z",
        place.before,
    ):
        return None
    digits = match["digits"]
    return (chinese.cardinal(digits) if len(digits) < 3 else chinese.digits(digits)) + match["letter"]
