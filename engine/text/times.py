"""Times of day and durations, and similar forms: scores and ratios."""

from __future__ import annotations

import re

from engine.text import chinese, english
from engine.text.numerals import END, INTEGER, START, count
from engine.text.rules import Place, rule

_MERIDIEM = r"(?:[AaPp]\.[ ]?[Mm]\.?|[AaPp][Mm]\.?(?![A-Za-z]))"
_ZONE = r"(?i:[ECMP][SD]T|[ECMP]T|GMT|UTC|BST|CES?T|JST|IST|AES?T|HKT|KST|MSK)"
_TIME = r"(?:[01]?[0-9]|2[0-4])[:：][0-5][0-9]"
_SPLIT = re.compile("[:：.]")
_SCORED = re.compile(
    r"(?i:\b(?:scores?|scored|won|win|wins|lost|lose|beat|beats|defeated|draw|drew|lead|leads|led|ratio|odds|tied|aspect|scale)\b"
    r"(?:[ ](?!at|on|around|from|since|until)\w+){0,3}[ :]{0,2})\Z"
    r"|(?:比分|比数|爆冷|战胜|击败|大胜|险胜|完胜|负于|不敌|领先|落后|战平|打平|打成|逼平|总分|比例|比值|赔率|扳成|改写为)[^0-9。，,]{0,6}\Z"
)
_SCORED_AFTER = re.compile(
    r"(?i:[ ](?:win|victory|defeat|loss|draw|lead|ratio|odds|score|aspect|mix|scale)\b)"
    r"|[ ]?(?:的?(?:比分|比例|大?胜|战胜|击败|取胜|获胜|险胜|力克|领先|落后|战平|打平|不敌|负于|逼平|完胜|赢|输|惜败))"
)


def is_score(place: Place) -> bool:
    """Whether the words around two numbers show that they are a score or a ratio."""
    scored = _SCORED.search(place.before) or _SCORED_AFTER.match(place.after)
    return bool(scored) or (place.before.endswith("以") and not place.after.startswith(("前", "后")))


def meridiem(written: str, place: Place) -> str:
    """Return AM or PM, with a full stop if a sentence with enough words ends here."""
    letters = "AM" if written[0] in "aA" else "PM"
    if not written.endswith("."):
        return letters
    following = re.match(r"\s*\Z|\s+(?=[A-Z“\"‘])", place.after)
    clause = re.split(r"[.!?]\s", place.before)[-1]
    return letters + "." * (following is not None and (following.end() == len(place.after) or len(clause.split()) >= 3))


def clock(time: str, in_chinese: bool, half: str = "", *, oclock: bool = True) -> str:
    """Read "15:45" or "9:05:30"; `half` is AM or PM; with `oclock`, 3:00 is "three o'clock" and not "three"."""
    hour, minute, *seconds = map(int, _SPLIT.split(time))
    if in_chinese:
        spoken = chinese.counted(str(hour)) + "点"
        if minute or seconds:
            spoken += ("零" if minute < 10 and minute else "") + f"{chinese.cardinal(str(minute))}分"
        spoken += "".join(f"{chinese.cardinal(str(second))}秒" for second in seconds)
        return {"AM": "上午", "PM": "下午", "": ""}[half.rstrip(".")] + spoken
    if (hour, minute, seconds, half) == (0, 0, [], ""):
        return "midnight"
    words = [english.cardinal(str(hour))]
    if minute or seconds:
        words.append("oh" * (minute < 10 and (minute > 0 or bool(seconds))))
        words.append(english.cardinal(str(minute)) if minute or hour == 0 else "oh")
    elif not half and oclock:
        words.append("o'clock")
    words += [f"and {english.cardinal(str(second))} second" + "s" * (second != 1) for second in seconds]
    return " ".join(filter(None, [*words, half]))


@rule(
    "time",
    rf"{START}(?P<first>{_TIME})(?:[ ]?(?P<half>{_MERIDIEM}))?(?:(?:[ ]?[-–—~～至][ ]?"
    rf"|[ ]to[ ])(?P<last>{_TIME})(?:[ ]?(?P<other>{_MERIDIEM}))?)?"
    rf"(?![0-9]|[:：][0-9])(?:[ ]?(?P<zone>{_ZONE})(?![A-Za-z]))?(?P<word>分)?(?![A-Za-z])",
)
def time_of_day(match: re.Match[str], place: Place) -> str | None:
    """9:05; 3:00 p.m.; 9:00-17:00; 11:30 EST; 17:20分."""
    if not match["half"] and not match["last"] and is_score(place):
        return None
    parts = [(match["first"], match["half"]), (match["last"], match["other"])]
    if match["first"].startswith("24") and match["first"][3:] != "00":
        return None
    times = [
        clock(time, place.chinese, meridiem(half, place) if half else "", oclock=not match["last"])
        for time, half in parts
        if time
    ]
    times[:-1] = [time.removesuffix(".") for time in times[:-1]]
    spoken = ("到" if place.chinese else " to ").join(times)
    return spoken + (f" {match['zone'].upper()}" if match["zone"] else "")


@rule(
    "time",
    rf"{START}(?P<time>(?:[01]?[0-9]|2[0-3])[:：][0-5][0-9][:：][0-5][0-9])(?![0-9]"
    rf"|[:：][0-9])(?:[ ]?(?P<half>{_MERIDIEM}))?(?![A-Za-z])",
)
def with_seconds(match: re.Match[str], place: Place) -> str:
    """14:10:30."""
    return clock(match["time"], place.chinese, meridiem(match["half"], place) if match["half"] else "")


@rule("time", rf"{START}(?P<minutes>[0-5]?[0-9])[:：](?P<seconds>[0-5][0-9])(?P<rest>\.[0-9]{{1,3}})(?![0-9:：])")
def stopwatch(match: re.Match[str], place: Place) -> str:
    """9:58.23."""
    seconds = count(match["seconds"].lstrip("0") + match["rest"], place.say)
    if place.chinese:
        return f"{chinese.cardinal(match['minutes'])}分{seconds}秒"
    return (
        f"{english.cardinal(match['minutes'])} {english.year(match['seconds'])} point {english.digits(match['rest'])}"
    )


_HOUR = r"(?:1[0-2]|0?[1-9])"


@rule(
    "time",
    rf"{START}(?:(?P<from>{_HOUR}(?:[:.][0-5][0-9])?)[ ]?"
    rf"(?P<half>{_MERIDIEM})?(?:[ ]?[-–—~][ ]?|[ ]to[ ]))?"
    rf"(?P<hour>{_HOUR}(?:[:.][0-5][0-9])?)[ ]?(?P<other>{_MERIDIEM})(?![A-Za-z])"
    rf"(?:[ ]?(?P<zone>{_ZONE})(?![A-Za-z]))?",
)
def with_meridiem(match: re.Match[str], place: Place) -> str:
    """3pm; 2.30 a.m.; 9-5 pm."""
    spoken = []
    for time, half in ((match["from"], match["half"]), (match["hour"], match["other"])):
        if time:
            full = time if _SPLIT.search(time) else time + ":00"
            spoken.append(
                clock(full, place.chinese, meridiem(half, place))
                if half
                else english.cardinal(time)
                if time.isdigit()
                else clock(time, False)
            )
    spoken[:-1] = [time.removesuffix(".") for time in spoken[:-1]]
    return ("到" if place.chinese else " to ").join(spoken) + (f" {match['zone'].upper()}" if match["zone"] else "")


@rule(
    "duration",
    rf"{START}(?P<hours>[0-9]{{1,3}})[ ]?h(?:rs?)?[ ]?"
    rf"(?P<minutes>[0-5]?[0-9])[ ]?m(?:in)?s?(?:[ ]?(?P<seconds>[0-5]?[0-9])[ ]?s(?:ec)?)?{END}"
    rf"|{START}(?P<just_minutes>[0-9]{{1,3}})[ ]?m(?:in)?[ ]?(?P<just_seconds>[0-5]?[0-9])[ ]?s(?:ec)?{END}",
)
def duration(match: re.Match[str], place: Place) -> str:
    """2h30m, 5m30s."""
    names = (
        ("hours", "hour", "小时"),
        ("minutes", "minute", "分钟"),
        ("seconds", "second", "秒"),
        ("just_minutes", "minute", "分"),
        ("just_seconds", "second", "秒"),
    )
    parts = [(match[group], word, han) for group, word, han in names if match[group]]
    if place.chinese:
        return "".join(chinese.counted(number) + han for number, _, han in parts)
    return " ".join(f"{english.cardinal(number)} {word}" + "s" * (int(number) != 1) for number, word, _ in parts)


@rule(
    "ratio",
    rf"{START}(?P<left>{INTEGER}(?:\.[0-9]+)?)[:：](?P<right>{INTEGER}(?:\.[0-9]+)?)(?:[:：](?P<third>[0-9]+))?(?![0-9]|[:：][0-9])",
)
def ratio(match: re.Match[str], place: Place) -> str:
    """16:9, and scores, which are not times of day."""
    return (
        " to ".join(count(match[side], place.say) for side in ("left", "right", "third") if match[side])
        if not place.chinese
        else "比".join(
            chinese.cardinal(match[side].replace(",", "")) for side in ("left", "right", "third") if match[side]
        )
    )
