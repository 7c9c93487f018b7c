"""Abbreviations of words, titles and streets, and Roman numerals."""

from __future__ import annotations

import re

from engine.text import chinese, english
from engine.text.codes import STREETS
from engine.text.rules import Place, rule

# Always expanded if written with the point. At the end of a sentence, the full stop remains.
_ABBREVIATIONS = {
    "etc": "et cetera",
    "vs": "versus",
    "approx": "approximately",
    "e.g": "for example",
    "i.e": "that is",
    "viz": "namely",
    "cf": "compare",
    "dept": "department",
    "govt": "government",
    "incl": "including",
    "excl": "excluding",
    "resp": "respectively",
}
_TITLES = {
    "Dr": "Doctor",
    "Prof": "Professor",
    "Gen": "General",
    "Col": "Colonel",
    "Capt": "Captain",
    "Lt": "Lieutenant",
}
_TITLES |= {
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Maj": "Major",
    "Cmdr": "Commander",
    "Adm": "Admiral",
    "Gov": "Governor",
}
_TITLES |= {"Sen": "Senator", "Rep": "Representative", "Pres": "President", "Rev": "Reverend", "Hon": "Honorable"}
_TITLES |= {"Mt": "Mount", "Ft": "Fort", "St": "Saint"}
_BEFORE_NUMBER = {
    "No": "number",
    "Nos": "numbers",
    "Fig": "figure",
    "Figs": "figures",
    "Vol": "volume",
    "Ch": "chapter",
}
_BEFORE_NUMBER |= {"Sec": "section", "Art": "article", "Eq": "equation", "Ref": "reference", "pp": "pages", "p": "page"}
_BEFORE_NUMBER |= {
    "Pt": "part",
    "Ver": "version",
    "Ext": "extension",
    "Nr": "number",
    "Para": "paragraph",
    "Ex": "exercise",
}
_NAMES = (
    "Henry|Elizabeth|Louis|Charles|George|Edward|James|William|Richard|Philip|Felipe"
    "|Frederick|Napoleon|Nicholas|Alexander|Catherine|Ivan|Peter|Paul|Benedict|Pius|Leo"
    "|Francis|Gregory|Innocent|Urban|Clement|Mary|Ramesses|Ramses|Ptolemy|Darius|Xerxes|Otto"
    "|Leopold|Gustav|Christian|Haakon|Harald|Olaf|Carlos|Umberto|Wilhelm|Franz|Joseph"
    "|Ferdinand|Alfonso|Cleopatra|Margrethe|Baldwin|Albert|John|Robert|Thutmose|Amenhotep"
    "|Mehmed|Murad|Selim|Suleiman|Constantine|Theodosius|Justinian|Sixtus|Julius|Nicolas|Carl"
    "|Karl|Heinrich|Friedrich|Edgar|Malcolm|Rama|Pedro|Tiglath"
)
DIVISIONS = (
    "chapter|part|section|volume|vol|book|act|scene|appendix|article|phase|type|class|grade"
    "|level|stage|figure|table|title|round|episode"
    "|season|schedule|unit|lesson|item|bowl|war|mark|group|category|form|module|annex|exhibit|canto|division|region|generation|gen|tier|no"
)
_ROMAN = r"(?=[IVXLC])(?:C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![A-Za-z0-9'’])"
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_ENDS = re.compile(r"\s*\Z|\s+[A-Z“\"‘]|[”\"’)]*\s*\Z")


def roman(written: str) -> int:
    """Return the value of a Roman numeral: "XIV" -> 14."""
    total = 0
    for char, following in zip(written, written[1:] + "I", strict=False):
        value = _VALUES[char]
        total += -value if value < _VALUES[following] else value
    return total


def _full_stop(place: Place) -> str:
    """Return the full stop if the sentence ends with the abbreviation."""
    return "." if re.match(r"\s*\Z|\s+[A-Z“\"‘]", place.after) else ""


@rule(
    "abbreviation",
    r"(?P<word>(?i:etc|vs|approx|e\.g|i\.e|viz|cf|dept|govt|incl|excl|resp))\.|(?P<versus>vs)(?=[ ][A-Za-z0-9])",
)
def abbreviation(match: re.Match[str], place: Place) -> str | None:
    """etc., vs., e.g."""
    if match["versus"]:
        return "对" if place.chinese else "versus"
    spoken = _ABBREVIATIONS[match["word"].lower()]
    if match["word"][0].isupper() and len(match["word"]) > 2:
        spoken = spoken[0].upper() + spoken[1:]
    return spoken + (_full_stop(place) if match["word"].lower() == "etc" else "")


@rule(
    "abbreviation",
    r"(?P<word>St|Dr|Prof|Gen|Col|Capt|Lt|Sgt|Cpl|Maj|Cmdr|Adm|Gov|Sen|Rep|Pres|Rev|Hon|Mt"
    r"|Ft)(?P<stop>\.?)(?=[ ](?:[A-Z][a-z]|[A-Z]\.))",
)
def title(match: re.Match[str], place: Place) -> str | None:
    """Dr. Evil, St. Petersburg, Mt. Everest; but Elm St. at the end of a sentence is a street."""
    word = match["word"]
    after_name = re.search(r"[A-Z][a-z]+ \Z", place.before) and word in ("St", "Dr", "Ft")
    if (
        after_name
        and word in STREETS
        and not re.search(
            r"(?:^|[.!?] )[A-Z][a-z]+ \Z|(?:Mr|Mrs|Hello|Dear|Hi|And|But|The|In|At|Is|Was|With|From|To|By) \Z",
            place.before,
        )
    ):
        return STREETS[word] + match["stop"]
    if not match["stop"] and word not in ("Dr", "St", "Prof"):
        return None
    if not match["stop"] and place.before and not place.before.endswith((" ", "(", "“", '"')):
        return None
    return _TITLES[word]


@rule("abbreviation", r"(?P<word>St|Ave|Rd|Blvd|Dr|Ln|Ct|Pl|Hwy|Sq|Pkwy)(?P<stop>\.?)(?![A-Za-z0-9.])")
def street_name(match: re.Match[str], place: Place) -> str | None:
    """On Elm St."""
    if not re.search(
        r"(?:(?:\bon|\bat|\bin|\bof|\bto|\bfrom|\bnear|\boff|\bdown|\balong|\bto"
        r"|[0-9])[ ](?:the[ ])?(?:[NSEW]\.?[ ])?[A-Z][a-z]+[ ]|[0-9](?:st|nd|rd|th)[ ]|\b(?:first"
        r"|second|third|fourth|fifth|sixth|seventh)[ ]|\bWall[ ]|\bMain[ ])\Z",
        place.before,
    ):
        return None
    return STREETS[match["word"]] + ("." if match["stop"] and _ENDS.match(place.after) else "")


@rule(
    "abbreviation",
    r"(?P<word>Nos?|NO|Figs?|Vol|Ch|Sec|Art|Eq|Ref|pp?|Pt|Ver|Ext|ext|Nr|Para|Ex|no|nos|vol"
    r"|fig|figs|ver|sec|ch)\.[ ]?(?=[0-9])",
)
def before_number(match: re.Match[str], place: Place) -> str | None:
    """No. 5."""
    word = match["word"]
    spoken = _BEFORE_NUMBER[word if word in _BEFORE_NUMBER else word.capitalize()]
    starts = not place.before or re.search(r"[.!?。！？]\s*\Z", place.before)
    if word in ("no", "nos") and re.search(r"(?i:\b(?:say|says|said|oh|answer)[ ,]*)\Z", place.before):
        return None
    return (spoken.capitalize() if starts else spoken) + " "


@rule("roman", rf"(?P<word>(?i:{DIVISIONS}))(?P<gap>[ ]|\.[ ])(?P<roman>{_ROMAN})")
def division(match: re.Match[str], place: Place) -> str | None:
    """Chapter IV; World War II."""
    word, written = match["word"], match["roman"]
    if not word[0].isupper() and len(written) < 2:
        return None
    if (
        written == "I"
        and re.match(r"[ ][a-z]", place.after)
        and not re.match(r"[ ](?:of|is|was|and|to|in|begins|ends|by)\b", place.after)
    ):
        return None
    if written in ("C", "L") or (
        written in ("V", "X")
        and not re.fullmatch(r"(?i:chapter|part|act|scene|book|volume|war|article|title|section|phase|canto)", word)
    ):
        return None
    value = str(roman(written))
    return word + match["gap"] + place.say.cardinal(value)


_TITLED = r"(?:King|Queen|Pope|Tsar|Czar|Emperor|Empress|Kaiser|Prince|Sultan|Shah)"


@rule(
    "roman",
    rf"(?P<title>{_TITLED}[ ][A-Z][a-z]+[ ](?:[A-Z][a-z]+[ ])?)(?P<roman>{_ROMAN})"
    rf"|(?P<name>(?:{_NAMES})[ ])(?P<numeral>{_ROMAN})",
)
def regnal(match: re.Match[str], place: Place) -> str | None:
    """Henry VIII, Pope John Paul II."""
    written, name = match["roman"] or match["numeral"], match["title"] or match["name"]
    alone = re.match(r"\.?\Z|[,;:)]|[ ](?:of|was|and|in|became|ruled|died|is|had|who)\b", place.after)
    if written in ("C", "L") or (len(written) == 1 and not alone and (match["name"] or written == "I")):
        return None
    return f"{name}the {english.ordinal(str(roman(written)))}"


@rule("roman", rf"(?P<name>[A-Z][a-z]{{2,}}[ ])(?P<numeral>{_ROMAN})")
def sequel(match: re.Match[str], place: Place) -> str | None:
    """Rocky II, Final Fantasy VII: a numeral of two or more letters, after a name."""
    written = match["numeral"]
    if len(written) < 2 or written in ("CV", "CC", "CI", "LI", "XXX", "CL", "XL"):
        return None
    return match["name"] + english.cardinal(str(roman(written)))


@rule("roman", r"第(?P<roman>[IVX]{1,5})(?=[章节卷部期届季篇集])|(?P<type>[IVX]{1,5})(?=[型级期类]糖?)")
def han_roman(match: re.Match[str], place: Place) -> str | None:
    """第IV章, II型."""
    written = match["roman"] or match["type"]
    if not re.fullmatch(_ROMAN.replace("(?![A-Za-z0-9'’])", ""), written) or (
        match["type"] and place.before[-1:].isascii() and place.before[-1:].isalnum()
    ):
        return None
    return "第" * bool(match["roman"]) + chinese.cardinal(str(roman(written)))
