"""Amounts of money: with signs and codes before and after them, scales, ranges, and rates."""

from __future__ import annotations

import re

from engine.text import chinese, english
from engine.text.numerals import AMOUNT, START, count, is_code, is_minus, plain
from engine.text.rules import Place, rule

# English singular and plural, those of the hundredth (empty if not in use), Chinese.
_DOLLAR = ("dollar", "dollars", "cent", "cents")
_COINS: dict[str, tuple[str, str, str, str, str]] = {
    "$": (*_DOLLAR, "美元"),
    "US$": (*_DOLLAR, "美元"),
    "A$": ("Australian dollar", "Australian dollars", "cent", "cents", "澳元"),
    "C$": ("Canadian dollar", "Canadian dollars", "cent", "cents", "加元"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cent", "cents", "港元"),
    "NT$": ("Taiwan dollar", "Taiwan dollars", "", "", "新台币"),
    "S$": ("Singapore dollar", "Singapore dollars", "cent", "cents", "新加坡元"),
    "NZ$": ("New Zealand dollar", "New Zealand dollars", "cent", "cents", "新西兰元"),
    "R$": ("real", "reais", "centavo", "centavos", "雷亚尔"),
    "€": ("euro", "euros", "cent", "cents", "欧元"),
    "£": ("pound", "pounds", "penny", "pence", "英镑"),
    "¥": ("yen", "yen", "", "", "元"),
    "JPY": ("yen", "yen", "", "", "日元"),
    "CNY": ("yuan", "yuan", "", "", "元"),
    "₩": ("won", "won", "", "", "韩元"),
    "₹": ("rupee", "rupees", "paisa", "paise", "卢比"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks", "卢布"),
    "฿": ("baht", "baht", "", "", "泰铢"),
    "₺": ("lira", "lira", "", "", "里拉"),
    "₪": ("shekel", "shekels", "", "", "谢克尔"),
    "₫": ("dong", "dong", "", "", "越南盾"),
    "₴": ("hryvnia", "hryvnias", "", "", "格里夫纳"),
    "₱": ("peso", "pesos", "centavo", "centavos", "比索"),
    "₦": ("naira", "naira", "kobo", "kobo", "奈拉"),
    "₿": ("bitcoin", "bitcoins", "", "", "比特币"),
    "CHF": ("Swiss franc", "Swiss francs", "", "", "瑞士法郎"),
    "SEK": ("Swedish krona", "Swedish kronor", "", "", "瑞典克朗"),
    "NOK": ("Norwegian krone", "Norwegian kroner", "", "", "挪威克朗"),
    "DKK": ("Danish krone", "Danish kroner", "", "", "丹麦克朗"),
    "PLN": ("zloty", "zlotys", "", "", "兹罗提"),
    "ZAR": ("rand", "rand", "", "", "兰特"),
    "MXN": ("Mexican peso", "Mexican pesos", "", "", "墨西哥比索"),
}
_SAME = {"￥": "¥", "USD": "US$", "AUD": "A$", "CAD": "C$", "HKD": "HK$", "TWD": "NT$", "SGD": "S$", "NZD": "NZ$"}
_SAME |= {"BRL": "R$", "EUR": "€", "GBP": "£", "RMB": "CNY", "KRW": "₩", "INR": "₹", "RUB": "₽", "THB": "฿"}
_SAME |= {"TRY": "₺", "ILS": "₪", "VND": "₫", "UAH": "₴", "PHP": "₱", "NGN": "₦", "BTC": "₿", "CA$": "C$", "AU$": "A$"}
_CODES = "|".join(code for code in [*_COINS, *_SAME] if code.isalpha() and code.isascii())
_DOLLARS = r"(?:US|HK|NT|NZ|CA|AU|[ACSR])[ ]?\$"
SIGN = "[$€£¥￥₩₹₽฿₺₪₫₴₱₦₿]"
LETTERED = rf"(?:{_DOLLARS}|(?:{_CODES})(?=[ ]?[0-9]))"
_SCALES = {"k": "thousand", "K": "thousand", "M": "million", "m": "million", "mn": "million", "mm": "million"}
_SCALES |= {"mil": "million", "b": "billion", "B": "billion", "bn": "billion", "T": "trillion", "t": "trillion"}
_SCALES |= {"tn": "trillion", "MM": "million", "Bn": "billion", "BN": "billion", "Mn": "million"}
_SCALES_CHINESE = {"thousand": "千", "million": "百万", "billion": "十亿", "trillion": "万亿", "hundred": "百"}
_SCALE = (
    r"(?:[ ]?(?:hundred|thousand|million|billion|trillion|mil|mn|Mn|MM|mm|bn|Bn|BN"
    r"|tn)(?![A-Za-z])|[kKMmbBTt](?![A-Za-z0-9])|[ ]?(?:千万|百万|十万|万亿|[千万亿]))"
)
_PER_WORD = {
    "mo": "month",
    "mth": "month",
    "yr": "year",
    "y": "year",
    "wk": "week",
    "d": "day",
    "hr": "hour",
    "h": "hour",
}
_PER_WORD |= {
    "min": "minute",
    "sec": "second",
    "s": "second",
    "kg": "kilogram",
    "g": "gram",
    "lb": "pound",
    "oz": "ounce",
}
_PER_WORD |= {
    "km": "kilometer",
    "m": "meter",
    "mi": "mile",
    "gal": "gallon",
    "l": "liter",
    "L": "liter",
    "GB": "gigabyte",
}
_PER_WORD |= {"TB": "terabyte", "MB": "megabyte", "kWh": "kilowatt hour", "MWh": "megawatt hour", "bbl": "barrel"}
_PER_WORD |= {
    "ft²": "square foot",
    "m²": "square meter",
    "sqft": "square foot",
    "ea": "each",
    "pp": "person",
    "t": "tonne",
}
_PER_CHINESE = {
    "month": "月",
    "year": "年",
    "week": "周",
    "day": "天",
    "hour": "小时",
    "minute": "分钟",
    "second": "秒",
}
_PER_CHINESE |= {"kilogram": "公斤", "gram": "克", "kilometer": "公里", "meter": "米", "liter": "升", "tonne": "吨"}
_PER_CHINESE |= {"square meter": "平方米", "gigabyte": "GB", "person": "人"}
_PER = r"(?:/[ ]?(?P<per>ft²|m²|[月年天日周时斤人次个件](?![A-Za-z])|[A-Za-z]{1,12})(?![A-Za-z0-9²/.]))?"
_HAN_COIN = r"(?:美元|美金|欧元|英镑|日元|日圆|韩元|港元|港币|人民币|元|块钱?)"


def _coin(written: str) -> tuple[str, str, str, str, str]:
    written = written.replace(" ", "")
    return _COINS[_SAME.get(written, written)]


def amount(coin: str, written: str, scale: str, place: Place) -> str:
    """Read ("$", "3.50", "") -> "three dollars and fifty cents"."""
    number, scale = plain(written), scale.strip()
    one, many, small_one, small_many, han = _coin(coin)
    scale = _SCALES.get(scale, scale)
    if place.chinese:
        number = without_zeros(number)
        scale = _SCALES_CHINESE.get(scale, scale)
        return (chinese.counted(number) if not is_code(written) else count(written, chinese)) + scale + han
    whole, _, fraction = number.partition(".")
    if is_code(written):
        return f"{count(written, english)} {many}"
    if scale or len(fraction) > 2 or (fraction and not small_one):
        scale = {"万": "ten thousand", "亿": "hundred million", "千": "thousand"}.get(scale, scale)
        if scale or len(fraction) <= 2:
            number = without_zeros(number)
        return " ".join(filter(None, [english.cardinal(number), scale, many]))
    cents = int(fraction.ljust(2, "0"))
    parts = []
    if int(whole) or not cents:
        parts.append(f"{english.cardinal(whole)} {one if int(whole) == 1 else many}")
    if cents:
        parts.append(f"{english.cardinal(str(cents))} {small_one if cents == 1 else small_many}")
    return " and ".join(parts)


def without_zeros(number: str) -> str:
    """Remove trailing zeros of a price: "3.50" -> "3.5"."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def _per(unit: str | None, place: Place) -> str:
    if not unit:
        return ""
    word = _PER_WORD.get(unit, unit)
    if place.chinese:
        return f"每{_PER_CHINESE.get(word, word)}"
    return f" {word}" if word == "each" else f" per {word}"


@rule(
    "money",
    rf"(?P<debit>[-–](?:[ ](?=\S[0-9]))?)?(?P<coin>{SIGN}"
    rf"|{LETTERED})[ ]?(?P<inner>-)?(?P<price>{AMOUNT})(?P<scale>{_SCALE})?"
    rf"(?:(?:[ ]?[-–—~～][ ]?|[ ]to[ ](?={SIGN}))(?P<coin_too>{SIGN}"
    rf"|{_DOLLARS})?(?P<last>{AMOUNT})(?P<last_scale>{_SCALE})?(?![0-9:/-]))?"
    rf"(?P<doubled>[ ]?{_HAN_COIN}|[ ]?(?:dollars?|euros?|pounds?|yuan|USD|US[ ]dollars?)(?![A-Za-z]))?{_PER}(?![0-9])",
)
def sign_first(match: re.Match[str], place: Place) -> str | None:
    """$3.50; -€5; ¥5万; $250-$300; $1-2 million; $20/mo; ￥1,299元."""
    if match["debit"] and not is_minus(place) and not place.before.endswith(("(", " ")):
        return None
    coin = match["coin"]
    last_scale = match["last_scale"] or ""
    if match["last"]:
        scale = match["scale"] or ""
        first = amount(coin, match["price"], scale, place)
        if not match["coin_too"] or place.chinese:  # the coin is said once
            first = count(without_zeros(match["price"]) if scale else match["price"], place.say)
            if scale:
                first = (
                    amount(coin, match["price"], scale, place)
                    .removesuffix(_coin(coin)[4 if place.chinese else 1])
                    .rstrip()
                )
        spoken = place.say.span(first, amount(coin, match["last"], last_scale, place))
    else:
        spoken = amount(coin, match["price"], match["scale"] or "", place)
    if match["debit"] or match["inner"]:
        spoken = place.say.minus(spoken)
    return spoken + _per(match["per"], place)


@rule(
    "money",
    rf"{START}(?P<price>{AMOUNT})(?P<scale>{_SCALE})?(?:[ ]?[-–—~][ ]?(?P<last>{AMOUNT})(?P<last_scale>{_SCALE})?)?"
    rf"(?:[ ]?(?P<sign>[€£₩₹₽฿₺₪₫₴₱₦₿]|US[$])|[ ]?(?P<dollar>[$¥])(?![0-9A-Za-z])"
    rf"|[ ]?(?P<code>{_CODES})(?![A-Za-z])|(?P<cents>¢)){_PER}(?![0-9])",
)
def sign_last(match: re.Match[str], place: Place) -> str | None:
    """20€; 5-10 €; 100 USD; 99¢."""
    if match["cents"]:
        if place.chinese:
            return f"{count(match['price'], chinese)}美分"
        return f"{count(match['price'], english)} cent" + "s" * (match["price"] != "1")
    coin = match["sign"] or match["dollar"] or match["code"]
    if match["dollar"] and not (
        match["dollar"] == "¥" or (place.before.endswith((" ", "")) and re.match(r"\s|\Z|[.,;:!?)]", place.after))
    ):
        return None
    spoken = amount(coin, match["last"] or match["price"], match["last_scale"] or match["scale"] or "", place)
    if match["last"]:
        spoken = place.say.span(count(match["price"], place.say), spoken)
    return spoken + _per(match["per"], place)


@rule(
    "money",
    rf"{START}(?P<price>{AMOUNT})(?P<scale>[ ]?(?:千万|百万|十万|万亿"
    rf"|[千万亿]))?[ ]?(?P<coin>{_HAN_COIN})[ ]?/[ ]?(?P<per>[\u4e00-\u9fff]|kg|g|m²)",
)
def han_per(match: re.Match[str], place: Place) -> str:
    """5.5元/斤."""
    per = {"kg": "公斤", "g": "克", "m²": "平方米"}.get(match["per"], match["per"])
    return (
        chinese.counted(without_zeros(plain(match["price"])))
        + (match["scale"] or "").strip()
        + match["coin"]
        + "每"
        + per
    )


@rule("money", rf"{START}(?P<price>[0-9]{{1,12}}\.[0-9]+)(?=[ ]?(?:元|块))")
def han_price(match: re.Match[str], place: Place) -> str:
    """3.50元 is read without the final zero."""
    return count(without_zeros(match["price"]), chinese)
