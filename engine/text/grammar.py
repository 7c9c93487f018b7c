"""All rules, grouped by their first characters, in the order in which they are tried."""

from __future__ import annotations

import re

from engine.text import chinese_dates, codes, dates, fractions, money, quantities, signs, times, words
from engine.text.rules import Rules

_DIGITS = (
    codes.section,
    codes.in_context,
    codes.boeing,
    codes.anniversary,
    dates.year_first,
    dates.year_last,
    codes.telephone,
    codes.mobile,
    codes.street,
    dates.year_and_month,
    times.with_seconds,
    times.time_of_day,
    times.stopwatch,
    times.with_meridiem,
    times.duration,
    times.ratio,
    chinese_dates.month_range,
    chinese_dates.year,
    chinese_dates.generation,
    dates.day_first,
    dates.month_and_day,
    dates.decade,
    signs.difference,
    money.han_per,
    money.han_price,
    money.sign_last,
    fractions.in_words,
    fractions.vulgar,
    fractions.fraction,
    quantities.feet_and_inches,
    quantities.coordinate,
    quantities.ordinal,
    quantities.span,
    quantities.scientific,
    quantities.dimensions,
    quantities.times,
    quantities.measure,
    quantities.thousands,
    codes.version,
    codes.serial,
    quantities.number,
)
_SIGNS = (
    money.sign_first,
    codes.telephone,
    codes.after_han,
    codes.serial,
    fractions.fraction,
    quantities.measure,
    quantities.negative,
    quantities.bare_decimal,
    dates.decade,
    fractions.vulgar,
    signs.power,
    signs.subscript,
    signs.number_sign,
    signs.paragraph,
    signs.ampersand,
    signs.heart,
    signs.operator,
    signs.and_more,
)
_WORDS = (
    money.sign_first,
    dates.month_first,
    dates.month_alone,
    words.abbreviation,
    words.before_number,
    words.title,
    words.street_name,
    words.division,
    words.regnal,
    words.sequel,
    words.han_roman,
)
_CANDIDATE = re.compile(
    rf"""(?P<digits>[0-9]+)
    | (?P<words>(?<![A-Za-z0-9])(?:
          [A-Z][A-Za-z]{{0,11}}(?=[ .$'’0-9-])
        | (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{{0,6}}\.?(?=[ -]?[0-9])
        | (?:vs|etc|approx|e\.g|i\.e|viz|cf|dept|govt|incl|excl|resp|nos?|figs?|pp?|vol|ver|sec|ch|ext)(?=[. ])
        | (?:{words.DIVISIONS})(?=[ ][IVXLC]))
        | 第(?=[IVX]) | (?<![A-Za-z])[IVX]{{1,5}}(?=[型级期类]))
    | (?P<signs>{money.SIGN}(?=[ .0-9-]) | [-–](?=[ ]?(?:[.0-9]|{money.SIGN}|{money.LETTERED}))
        | \((?=[0-9]) | \.(?=[0-9]) | ['’](?=[0-9]0s)
        | [¼½¾⅐-⅞⁰¹²³⁴-⁹⁺⁻₀-₉] | \^ | \#(?=[ ]?[0-9]) | &(?=[ ])
        | [ ](?:[<>!]?=|[-×÷<>≤≥≠≈*+/])(?=[ ]) | §(?=[ ]?[0-9]) | (?:[<>!]=|[=×÷<>≤≥≠≈±√~+*]))
    """,
    re.VERBOSE,
)
RULES = Rules(_CANDIDATE, {"digits": _DIGITS, "words": _WORDS, "signs": _SIGNS})
