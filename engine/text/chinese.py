"""Numbers as Chinese speakers read them; cn2an does the number-to-words work."""

from __future__ import annotations

import datetime

import cn2an

_COINS = {"$": "美元", "€": "欧元", "£": "英镑", "¥": "元"}
_SCALES = {"k": "千", "K": "千", "m": "百万", "M": "百万", "bn": "十亿", "B": "十亿"}
_SCALES |= {"thousand": "千", "million": "百万", "billion": "十亿", "trillion": "万亿"}
_UNITS = {
    "°C": "摄氏度",
    "°F": "华氏度",
    "°": "度",
    "km/h": "公里每小时",
    "km": "公里",
    "cm": "厘米",
    "mm": "毫米",
    "kg": "公斤",
    "mg": "毫克",
    "ml": "毫升",
}
# What two is counted with as 两 rather than 二.
_COUNTED = ("km", "kg", "公里", "公斤", "小时", "分钟", *"个只条张位次天周种台件辆块元岁人倍名杯本支家点年万亿千米")


def digits(text: str) -> str:
    """Digit by digit: "007" -> "零零七"."""
    return "".join(str(cn2an.an2cn(digit)) for digit in text if digit.isdigit())


def cardinal(number: str) -> str:
    """Read an integer or a decimal without separators: "3.50" -> "三点五零"."""
    whole, _, fraction = number.partition(".")
    spoken = str(cn2an.an2cn(whole))
    if fraction:
        spoken += "点" + digits(fraction)
    return spoken


def minus(spoken: str) -> str:
    """Negate what is spoken."""
    return f"负{spoken}"


def in_context(number: str, before: str, after: str) -> str | None:
    """Read `number` as the text around it asks, if it does.

    2个 is 两个, but 第2个 is 第二个; the year 2024年 is read by digits, but 1000年 is a span of time; 05月 has no
    zero; and the price 3.50元 has none at its end.
    """
    if number == "2" and after.startswith(_COUNTED) and not after.startswith("年级") and before != "第":
        return "两"
    if number.isdigit() and len(number) == 4 and after.startswith("年"):
        return None if number.endswith("000") and number != "2000" else digits(number)
    if len(number) == 2 and after.startswith(("月", "日", "号", "时", "分", "秒")):
        return cardinal(number)
    return cardinal(plain(number)) if "." in number and after.startswith("元") and "," not in number else None


def ordinal(number: str) -> str:
    """Read "22nd" within Chinese -> "第二十二"."""
    return "第" + cardinal(number)


def decade(number: str) -> str:
    """Read "1980s" within Chinese -> "一九八零年代"."""
    return (digits(number) if len(number) == 4 else cardinal(number)) + "年代"


def date(day: datetime.date) -> str:
    """2024-05-06 -> "二零二四年五月六日"."""
    return f"{digits(f'{day.year:04}')}年{cardinal(str(day.month))}月{cardinal(str(day.day))}日"


def clock(hour: int, minute: int, second: int | None, meridiem: str) -> str:
    """12:05 -> "十二点零五分"."""
    spoken = ("两" if hour == 2 else cardinal(str(hour))) + "点"
    if minute or second is not None:
        spoken += ("零" if minute < 10 else "") + (cardinal(str(minute)) if minute else "") + "分"
    if second is not None:
        spoken += cardinal(str(second)) + "秒"
    before_noon = meridiem[:1] in ("a", "A")
    return ("上午" if before_noon else "下午") + spoken if meridiem else spoken


def ratio(left: str, right: str) -> str:
    """16:9 -> "十六比九"."""
    return f"{left}比{right}"


def span(first: str, last: str) -> str:
    """10-20 -> "十到二十"."""
    return f"{first}到{last}"


def money(sign: str, number: str, negative: bool, scale: str) -> str:
    """Read "$3.50" -> "三点五美元"; `scale` is what follows, as in "¥5万"."""
    amount = plain(number)
    spoken = "两" if amount == "2" else cardinal(amount)
    return minus("") * negative + spoken + _SCALES.get(scale, scale) + _COINS[sign]


def plain(number: str) -> str:
    """Without the zeros that only fill a price up: "3.50" -> "3.5"."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def measure(spoken: str, unit: str, singular: bool) -> str:
    """("五", "km") -> "五公里"; a percentage comes first: "百分之五十"."""
    if unit in ("%", "‰"):
        sign = "负" if spoken.startswith("负") else ""
        return sign + ("百分之" if unit == "%" else "千分之") + spoken.removeprefix("负")
    if unit.startswith("°") and spoken.startswith("负"):
        return "零下" + spoken.removeprefix("负") + _UNITS[unit]
    return spoken + _UNITS[unit]


def phone(groups: list[str]) -> str:
    """Groups of digits, with a pause between them."""
    return "，".join(map(digits, groups))
