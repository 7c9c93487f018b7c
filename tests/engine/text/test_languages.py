"""Languages other than English and Chinese."""

import pytest

from engine.text import TextOptions, spoken_language, spoken_sentences


def read(text: str, language: str, *, normalize: bool = True) -> list[str]:
    options = TextOptions(language=spoken_language(language), normalize=normalize)
    return [sentence.text for sentence in spoken_sentences(text, options)]


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", "Das kostet 1.234,5 Euro.", "Das kostet eintausendzweihundertvierunddreißig Komma fünf Euro."),
        ("fr-FR", "Il y en a 1\u202f234.", "Il y en a mille deux cent trente-quatre."),
        ("fr-CH", "Il y en a 70.", "Il y en a septante."),
        ("fr", "Il y en a 70.", "Il y en a soixante-dix."),
        ("pt_BR", "São 16 casas.", "São dezesseis casas."),
        ("pt-PT", "São 16 casas.", "São dezasseis casas."),
        ("vi", "Có 21 người.", "Có hai mươi mốt người."),
        ("ja", "3時です。", "三時です。"),
        ("Spanish", "Son 007 y 5.", "Son cero cero siete y cinco."),
        ("ha", "Akwai 21 a nan.", "Akwai 21 a nan."),  # num2words does not know Hausa
        ("hau", "Akwai 21 a nan.", "Akwai 21 a nan."),
        ("de", "A4 und 3kg", "A4 und 3kg"),
    ],
)
def test_numbers_are_read_in_the_language_if_it_has_words_for_them(language: str, text: str, spoken: str) -> None:
    assert read(text, language) == [spoken]


def test_no_english_is_read_into_another_language() -> None:
    assert read("Das sind 50 % & mehr, siehe Dr. Weiß.", "de") == ["Das sind fünfzig % & mehr, siehe Dr. Weiß."]


@pytest.mark.parametrize("language", ["de", "ha", "ja"])
def test_without_normalization_the_text_stays_as_it_came(language: str) -> None:
    assert read("Es sind 1.234 **Dinge**.", language, normalize=False) == ["Es sind 1.234 **Dinge**."]


def test_sentences_end_as_in_the_language() -> None:
    german = "Wir treffen uns am 3. Oktober bei Herrn Dr. Weiß in der Stadt. " * 2
    assert len(read(german, "de", normalize=False)) == 2
    hindi = "यह एक लंबा वाक्य है जो अच्छा लगता है। और यह दूसरा वाक्य है जो उसके बाद आता है।"
    assert len(read(hindi, "hi")) == 2


@pytest.mark.parametrize(
    ("name", "language"),
    [
        *[("en-GB", "en"), ("English", "en"), ("zh-Hant-TW", "zh"), ("Mandarin", "zh"), ("de-AT", "de-AT")],
        *[("German", "de"), ("hau", "ha"), ("auto", None), ("", None), (None, None), ("multilingual", None)],
    ],
)
def test_tags_and_names_of_languages(name: str | None, language: str | None) -> None:
    assert spoken_language(name) == language
