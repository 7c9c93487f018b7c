"""A checkpoint says which languages it speaks, and how it reads them; the published one does not, and speaks two."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.checkpoints import DEMO, locate, spelling, spoken_languages, uses_transcripts
from engine.errors import CheckpointError


def test_the_demo_speaks_english_and_mandarin() -> None:
    assert spoken_languages(locate(DEMO)) == ("en", "zh")
    assert spelling(locate(DEMO))("你好") == "ni3 hao3"


def test_the_published_configuration_names_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("sample_rate: 16000\n")
    assert spoken_languages(tmp_path) is None


@pytest.mark.parametrize("languages", ["en", "[]", "[French]", "[[en]]", "{en: true}", "[en, 5]"])
def test_other_languages_are_refused_in_one_line(tmp_path: Path, languages: str) -> None:
    (tmp_path / "config.yaml").write_text(f"languages: {languages}\n")
    with pytest.raises(CheckpointError, match=r"config\.yaml: languages must be a list of codes") as error:
        spoken_languages(tmp_path)
    assert "\n" not in str(error.value)


def test_a_checkpoint_says_that_it_reads_pinyin(tmp_path: Path) -> None:
    written = tmp_path / "config.yaml"
    written.write_text("sample_rate: 16000\n")
    assert spelling(tmp_path)("你好。") == "你好。"
    written.write_text("spelling: pinyin\n")
    assert spelling(tmp_path)("你好。") == "ni3 hao3."
    written.write_text("spelling: [bopomofo]\n")
    with pytest.raises(CheckpointError, match=r"config\.yaml: spelling must be pinyin if it is there, not \['bopo"):
        spelling(tmp_path)


def test_a_checkpoint_says_that_transcripts_do_not_help(tmp_path: Path) -> None:
    assert not uses_transcripts(locate(DEMO))
    written = tmp_path / "config.yaml"
    written.write_text("sample_rate: 16000\n")
    assert uses_transcripts(tmp_path)
    written.write_text("transcripts: sometimes\n")
    with pytest.raises(CheckpointError, match=r"config\.yaml: transcripts must be true or false, not 'sometimes'"):
        uses_transcripts(tmp_path)
