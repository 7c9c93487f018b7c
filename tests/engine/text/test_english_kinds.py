"""Every kind of thing that English text has figures and signs for, and beside each what only looks like it."""

import pytest

from engine.text import normalise

SPOKEN = {
    "numbers": {
        "7,000,000,000,000,005": "seven quadrillion and five",
        "2 500 000 men": "two million five hundred thousand men",
        "2,50,000 votes": "two hundred and fifty thousand votes",
        "1837,25 in all": "one thousand eight hundred and thirty-seven point two five in all",
        "only 7.25 or .75": "only seven point two five or zero point seven five",
        "3.2k of 20k": "three point two thousand of twenty thousand",
        "2.5x as fast": "two point five times as fast",
        "7.5 million": "seven point five million",
        "2.5m residents": "two point five million residents",
        "1,000s of them": "thousands of them",
        "the 3,000th": "the three thousandth",
    },
    "dates": {
        "8 mar 2011": "the eighth of March twenty eleven",
        "the 8th of March": "the eighth of March",
        "AUG. 9 2013": "August ninth twenty thirteen",
        "Feb-7": "February seventh",
        "17-02-2012": "February seventeenth, twenty twelve",
        "17.02.2012": "February seventeenth, twenty twelve",
        "2/17/2012": "February seventeenth, twenty twelve",
        "17/2/2012": "February seventeenth, twenty twelve",
        "2012/02/17": "February seventeenth, twenty twelve",
        "in 2021-09": "in September twenty twenty-one",
        "May 3-5": "May third to fifth",
        "3-5 May": "the third to fifth of May",
        "since Oct. 1999": "since October nineteen ninety-nine",
        "the 1950s-60s": "the nineteen fifties to sixties",
        "mid-90s music": "mid-nineties music",
        "class of '07": "class of 'oh seven",
        "1914-18": "nineteen fourteen to eighteen",
        "1995–1999": "nineteen ninety-five to nineteen ninety-nine",
    },
    "times": {
        "4.45 p.m.": "four forty-five PM.",
        "at 00:00": "at midnight",
        "07:20 pst": "seven twenty PST",
        "16:40GMT": "sixteen forty GMT",
        "10:00-11:30": "ten to eleven thirty",
        "9am-5pm": "nine AM to five PM",
        "2h45m": "two hours forty-five minutes",
        "7:05:09": "seven oh five and nine seconds",
        "won 4:30": "won four to thirty",
        "a 4:3 ratio": "a four to three ratio",
    },
    "fractions": {
        "3/8 inch": "three eighths inch",
        "5 1/2 hours": "five and a half hours",
        "2¾": "two and three quarters",
        "2/3rds": "two thirds",
        "17/35": "seventeen over thirty-five",
        "-1/4": "minus one quarter",
        "1/2 km": "half a kilometer",
        "rated 7/10": "rated seven out of ten",
        "open 24/7": "open twenty-four seven",
    },
    "money": {
        "$.75": "seventy-five cents",
        "$14.2T": "fourteen point two trillion dollars",
        "$3-4 million": "three to four million dollars",
        "$40-$50": "forty dollars to fifty dollars",
        "€1.499,00": "one thousand four hundred and ninety-nine euros",
        "1.499,00 €": "one thousand four hundred and ninety-nine euros",
        "₩900 and ₹50": "nine hundred won and fifty rupees",
        "HK$20, 30 USD, EUR 5": "twenty Hong Kong dollars, thirty dollars, five euros",
        "$8/mo or $0.25/hr": "eight dollars per month or twenty-five cents per hour",
        "75¢": "seventy-five cents",
        "minus: -$6": "minus: minus six dollars",
    },
    "measures": {
        "7KG and 7kg": "seven kilograms and seven kilograms",
        "30 m² or 4 km³": "thirty square meters or four cubic kilometers",
        "9.8 m/s²": "nine point eight meters per second squared",
        "4 gbps": "four gigabits per second",
        "3-4lb": "three to four pounds",
        "a 3-kg bag": "a three-kilogram bag",
        "6'1\"": "six feet one inch",
        "5 ft 7 in": "five feet seven inches",
        "1 h": "one hour",
        "50 °F": "fifty degrees Fahrenheit",
        "5%-8%": "five to eight percent",
    },
    "signs": {
        "4+5=9": "four plus five equals nine",
        "9-4=5": "nine minus four equals five",
        "9 - 4": "nine minus four",
        "8÷2": "eight divided by two",
        "3 × 4": "three times four",
        "1280x720": "one thousand two hundred and eighty by seven hundred and twenty",
        "≥ 6 and ≤7": "at least six and at most seven",
        "x > 4": "x is greater than four",
        "~30": "about thirty",
        "±3": "plus or minus three",
        "5⁻²": "five to the power of minus two",
        "n² and 2^9": "n squared and two to the power of nine",
        "H₂SO₄": "H two SO four",
        "#3": "number three",
        "3 x 5 = 15": "three times five equals fifteen",
        "a 3 x 5 ft rug": "a three by five feet rug",
        "salt & pepper": "salt and pepper",
        "60+": "sixty plus",
        "3.5e-7": "three point five times ten to the power of minus seven",
    },
    "codes": {
        "call 112 now": "call one one two now",
        "PIN 4096": "PIN four zero nine six",
        "zip code 60614": "zip code six zero six one four",
        "flight 882": "flight eight eight two",
        "+1 (212) 555-0100": "one, two one two, five five five, zero one zero zero",
        "1-800-555-0100": "one, eight hundred, five five five, zero one zero zero",
        "1-888-BUY-NOW": "one, eight eight eight, BUY NOW",
        "a 747-400": "a seven forty-seven four hundred",
        "version 2.10.3": "version two point ten point three",
        "v2.10.3": "v two point ten point three",
        "D17, X2Z40Y": "D seventeen, X two Z forty Y",
        "403(b)": "four zero three b",
        "SARS-2 and B-17": "SARS-two and B-seventeen",
        "1600 Oak Ave. was sold": "sixteen hundred Oak Avenue was sold",
        "She lives at 52 Oak St. It is old.": "She lives at fifty-two Oak Street. It is old.",
    },
    "words": {
        "No. 12 and Fig. 3": "Number twelve and figure three",
        "Dr. Ross of St. Louis": "Doctor Ross of Saint Louis",
        "cats vs. dogs, etc.": "cats versus dogs, et cetera.",
        "Chapter IX": "Chapter nine",
        "World War II": "World War two",
        "Henry V was king": "Henry the fifth was king",
        "King Edward VII": "King Edward the seventh",
        "Rocky III": "Rocky three",
    },
}
KEPT = [
    "You may, and they march, and the sun is up.",  # no months
    "May I come in? March on!",
    "a.m. is short for something; so is p.m.",
    "I think, therefore I am. Vitamin C and plan B. Malcolm X spoke.",  # no Roman numerals
    "John V. Lindsay was mayor.",
    "He said no. Then he left.",  # no number follows
    "St. is short for saint or street in most maps",
    "in a meter, an inch, a pound",
    "well-known, so-called; half-life",
    "C++ and libstdc++, notepad++ and A+",
    "x < y",
    "I <33 it",
]
CASES = [(written, spoken) for kind in SPOKEN.values() for written, spoken in kind.items()]


@pytest.mark.parametrize(("written", "spoken"), CASES)
def test_a_kind_is_read(written: str, spoken: str) -> None:
    assert normalise(written) == spoken


@pytest.mark.parametrize(("written", "spoken"), CASES)
def test_it_is_read_alike_within_a_sentence(written: str, spoken: str) -> None:
    assert spoken.rstrip(".").lower() in normalise(f"We saw this: {written}, as it is.").lower()


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert normalise(text) == text
