"""Units of measurement: their notation, and their names in English (singular, plural) and Chinese."""

from __future__ import annotations

import re

# Notation: English singular, Chinese name, and the plural if it is irregular.
_TABLE: dict[str, tuple[str, ...]] = {
    "km": ("kilometer", "公里"),
    "m": ("meter", "米"),
    "dm": ("decimeter", "分米"),
    "cm": ("centimeter", "厘米"),
    "mm": ("millimeter", "毫米"),
    "μm": ("micrometer", "微米"),
    "um": ("micrometer", "微米"),
    "nm": ("nanometer", "纳米"),
    "mi": ("mile", "英里"),
    "yd": ("yard", "码"),
    "ft": ("foot", "英尺", "feet"),
    "in": ("inch", "英寸", "inches"),
    "nmi": ("nautical mile", "海里"),
    "ly": ("light year", "光年"),
    "kg": ("kilogram", "公斤"),
    "g": ("gram", "克"),
    "mg": ("milligram", "毫克"),
    "μg": ("microgram", "微克"),
    "mcg": ("microgram", "微克"),
    "lb": ("pound", "磅"),
    "lbs": ("pound", "磅"),
    "oz": ("ounce", "盎司"),
    "t": ("tonne", "吨"),
    "l": ("liter", "升"),
    "L": ("liter", "升"),
    "dl": ("deciliter", "分升"),
    "dL": ("deciliter", "分升"),
    "cl": ("centiliter", "厘升"),
    "ml": ("milliliter", "毫升"),
    "mL": ("milliliter", "毫升"),
    "μl": ("microliter", "微升"),
    "μL": ("microliter", "微升"),
    "gal": ("gallon", "加仑"),
    "pt": ("pint", "品脱"),
    "qt": ("quart", "夸脱"),
    "tsp": ("teaspoon", "茶匙"),
    "tbsp": ("tablespoon", "汤匙"),
    "ha": ("hectare", "公顷"),
    "ac": ("acre", "英亩"),
    "s": ("second", "秒"),
    "sec": ("second", "秒"),
    "secs": ("second", "秒"),
    "ms": ("millisecond", "毫秒"),
    "μs": ("microsecond", "微秒"),
    "us": ("microsecond", "微秒"),
    "ns": ("nanosecond", "纳秒"),
    "min": ("minute", "分钟"),
    "mins": ("minute", "分钟"),
    "h": ("hour", "小时"),
    "hr": ("hour", "小时"),
    "hrs": ("hour", "小时"),
    "yr": ("year", "年"),
    "yrs": ("year", "年"),
    "wk": ("week", "周"),
    "wks": ("week", "周"),
    "mo": ("month", "个月"),
    "mos": ("month", "个月"),
    "Hz": ("hertz", "赫兹", "hertz"),
    "kHz": ("kilohertz", "千赫", "kilohertz"),
    "MHz": ("megahertz", "兆赫", "megahertz"),
    "GHz": ("gigahertz", "吉赫", "gigahertz"),
    "THz": ("terahertz", "太赫", "terahertz"),
    "V": ("volt", "伏"),
    "kV": ("kilovolt", "千伏"),
    "mV": ("millivolt", "毫伏"),
    "mA": ("milliampere", "毫安"),
    "mAh": ("milliampere hour", "毫安时"),
    "Ah": ("ampere hour", "安时"),
    "Ω": ("ohm", "欧姆"),
    "kΩ": ("kiloohm", "千欧"),
    "MΩ": ("megaohm", "兆欧"),
    "μF": ("microfarad", "微法"),
    "W": ("watt", "瓦"),
    "kW": ("kilowatt", "千瓦"),
    "MW": ("megawatt", "兆瓦"),
    "GW": ("gigawatt", "吉瓦"),
    "Wh": ("watt hour", "瓦时"),
    "kWh": ("kilowatt hour", "千瓦时"),
    "MWh": ("megawatt hour", "兆瓦时"),
    "GWh": ("gigawatt hour", "吉瓦时"),
    "hp": ("horsepower", "马力", "horsepower"),
    "J": ("joule", "焦耳"),
    "kJ": ("kilojoule", "千焦"),
    "MJ": ("megajoule", "兆焦"),
    "cal": ("calorie", "卡"),
    "kcal": ("kilocalorie", "千卡"),
    "N": ("newton", "牛"),
    "kN": ("kilonewton", "千牛"),
    "Pa": ("pascal", "帕"),
    "hPa": ("hectopascal", "百帕"),
    "kPa": ("kilopascal", "千帕"),
    "MPa": ("megapascal", "兆帕"),
    "psi": ("P S I", "磅每平方英寸", "P S I"),
    "bar": ("bar", "巴"),
    "mmHg": ("millimeter of mercury", "毫米汞柱", "millimeters of mercury"),
    "bps": ("bit per second", "比特每秒", "bits per second"),
    "kbps": ("kilobit per second", "千比特每秒", "kilobits per second"),
    "Mbps": ("megabit per second", "兆比特每秒", "megabits per second"),
    "mbps": ("megabit per second", "兆比特每秒", "megabits per second"),
    "Gbps": ("gigabit per second", "吉比特每秒", "gigabits per second"),
    "gbps": ("gigabit per second", "吉比特每秒", "gigabits per second"),
    "KB": ("kilobyte", "千字节"),
    "kB": ("kilobyte", "千字节"),
    "MB": ("megabyte", "兆字节"),
    "GB": ("gigabyte", "吉字节"),
    "TB": ("terabyte", "太字节"),
    "PB": ("petabyte", "拍字节"),
    "KiB": ("kibibyte", "千字节"),
    "MiB": ("mebibyte", "兆字节"),
    "GiB": ("gibibyte", "吉字节"),
    "Mb": ("megabit", "兆比特"),
    "Gb": ("gigabit", "吉比特"),
    "dB": ("decibel", "分贝"),
    "db": ("decibel", "分贝"),
    "lm": ("lumen", "流明"),
    "lx": ("lux", "勒克斯", "lux"),
    "cd": ("candela", "坎德拉"),
    "mol": ("mole", "摩尔"),
    "rpm": ("R P M", "转每分钟", "R P M"),
    "fps": ("frame per second", "帧每秒", "frames per second"),
    "ppm": ("part per million", "ppm", "parts per million"),
    "mph": ("mile per hour", "英里每小时", "miles per hour"),
    "kmh": ("kilometer per hour", "公里每小时", "kilometers per hour"),
    "kph": ("kilometer per hour", "公里每小时", "kilometers per hour"),
    "mpg": ("mile per gallon", "英里每加仑", "miles per gallon"),
    "px": ("pixel", "像素"),
    "dpi": ("D P I", "dpi", "D P I"),
    "MP": ("megapixel", "兆像素"),
    "kt": ("knot", "节"),
    "bpm": ("beat per minute", "次每分钟", "beats per minute"),
    "sqft": ("square foot", "平方英尺", "square feet"),
    "sqm": ("square meter", "平方米"),
    "°C": ("degree Celsius", "摄氏度", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "华氏度", "degrees Fahrenheit"),
    "°": ("degree", "度"),
    "%": ("percent", "", "percent"),
    "‰": ("per mille", "", "per mille"),
    "′": ("foot", "英尺", "feet"),
    "″": ("inch", "英寸", "inches"),
}
_TABLE |= {"'": _TABLE["′"], '"': _TABLE["″"]}
_QUOTES = r"""['"](?=[ ](?:[x×]|long|tall|wide|high|deep|thick|pipe|monitor|screen|display|TV)\b|[x×][0-9])"""
_SHORT = frozenset("mgLVWhs°%‰′″")  # single letters that are units after a space too
_NEVER_SPACED = frozenset(("in", "us", "mi", "ac", "l", "t", "N", "J", "pt", "mo", "cd", "s", "cal", "bar"))
_LOOSE = {
    unit.lower(): unit
    for unit in _TABLE
    if len(unit) > 1
    and unit.isascii()
    and unit not in ("us", "in", "um", "Mb", "Gb", "kB", "ac", "mi", "mo", "MP", "KiB")
}
_LOOSE |= {
    "mb": "MB",
    "gb": "GB",
    "kb": "KB",
    "mhz": "MHz",
    "mw": "MW",
    "pa": "Pa",
    "mpa": "MPa",
    "mj": "MJ",
    "ma": "mA",
}
_PER = {
    "h": ("hour", "小时"),
    "hr": ("hour", "小时"),
    "hour": ("hour", "小时"),
    "s": ("second", "秒"),
    "sec": ("second", "秒"),
    "second": ("second", "秒"),
    "min": ("minute", "分钟"),
    "minute": ("minute", "分钟"),
    "d": ("day", "天"),
    "day": ("day", "天"),
    "week": ("week", "周"),
    "month": ("month", "月"),
    "yr": ("year", "年"),
    "year": ("year", "年"),
    "person": ("person", "人"),
    "capita": ("capita", "人"),
    "user": ("user", "用户"),
}
_POWERS = {
    "²": ("square", "平方"),
    "³": ("cubic", "立方"),
    "^2": ("square", "平方"),
    "^3": ("cubic", "立方"),
    "2": ("square", "平方"),
    "3": ("cubic", "立方"),
}
_LENGTHS = ("km", "m", "dm", "cm", "mm", "μm", "nm", "mi", "ft", "in", "yd")

_NAMES = "|".join(sorted((re.escape(unit) for unit in _TABLE if unit not in "'\""), key=len, reverse=True))
_LOOSE_NAMES = "|".join(sorted(map(re.escape, _LOOSE), key=len, reverse=True))
_LENGTH = "|".join(sorted(_LENGTHS, key=len, reverse=True))
_BASE = (
    rf"(?:(?:sq|cu)[. ]{{1,2}}(?:{_LENGTH})|(?:{_LENGTH})(?:[²³]|\^[23])|(?:[cdk]?m)[23]"
    rf"|{_QUOTES}|[°º][ ]?[CF]|º|{_NAMES}|(?i:{_LOOSE_NAMES}))"
)
UNIT = (
    rf"(?:{_BASE}(?:/(?:(?:{_LENGTH})(?:[²³]|\^[23])|s(?:²|\^2)|day|d|month|year|week|hour"
    rf"|minute|second|person|user|capita|{_NAMES}))?(?![A-Za-zµμ0-9²³^]))"
)
_SPLIT = re.compile(r"(?:(?P<word>sq|cu)[. ]+)?(?P<name>[°º] ?[CF]|[^\s²³^23]+)(?P<power>[²³]|\^[23]|[23])?\Z")


def is_unit(written: str, *, spaced: bool) -> bool:
    """Whether this is a unit after a number: 5 in and 5 s are ambiguous, 5in and 5s are units."""
    if not spaced:
        return written not in ("N", "J", "t", "cal")
    return written not in _NEVER_SPACED and (len(written) > 1 or written in _SHORT or not written.isascii())


def name(written: str, *, in_chinese: bool, one: bool) -> str:
    """Return the unit's name: ("km/h", one=False) -> "kilometers per hour"."""
    unit, _, per = written.partition("/")
    spoken = _name(unit, in_chinese, one)
    if not per:
        return spoken
    named = _PER[per][in_chinese] if per in _PER else _name(per, in_chinese, True)
    return f"{spoken}每{named}" if in_chinese else f"{spoken} per {named}"


def _name(written: str, in_chinese: bool, one: bool) -> str:
    match = _SPLIT.match(written)
    if match is None:
        raise ValueError(f"{written!r} is no unit.")
    unit = match["name"].replace("º", "°").replace(" ", "")
    entry = _TABLE.get(unit) or _TABLE[_LOOSE[unit.lower()]]
    power = {"sq": ("square", "平方"), "cu": ("cubic", "立方")}.get(match["word"]) or _POWERS.get(
        match["power"], ("", "")
    )
    if in_chinese:
        return power[1] + ({"km": "公里", "m": "米"}.get(unit, entry[1]) if power[1] else entry[1])
    several = entry[2] if len(entry) > 2 else entry[0] + "s"
    if power[0] and unit == "s":  # m/s²
        return "second squared"
    return " ".join(filter(None, [power[0], entry[0] if one else several]))
