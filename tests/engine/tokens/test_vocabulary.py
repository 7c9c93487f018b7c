"""What ids mean, and that a user's text cannot become a control token."""

import json
from pathlib import Path

import pytest

from engine.checkpoints.synthetic import GLOBAL_CODES, TEXT_TOKENS, token_names, write_tokenizer
from engine.errors import CheckpointError
from engine.text.pinyin import spelled
from engine.tokens.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def real_ids(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """The vocabulary of the full size, whose ids are those of the published model."""
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(directory, token_names(TEXT_TOKENS["full"], GLOBAL_CODES, 8192))
    return Vocabulary(directory / "tokenizer.json")


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("<|endoftext|>", 151_643),
        ("<|im_end|>", 151_645),
        ("<|task_vc|>", 165_136),
        ("<|task_tts|>", 165_137),
        ("<|task_controllable_tts|>", 165_143),
        ("<|task_edit|>", 165_145),
        ("<|start_content|>", 165_146),
        ("<|end_content|>", 165_152),
        ("<|start_style_label|>", 165_147),
        ("<|end_style_label|>", 165_153),
        ("<|start_global_token|>", 165_150),
        ("<|end_global_token|>", 165_156),
        ("<|start_semantic_token|>", 165_151),
        ("<|end_semantic_token|>", 165_157),
    ],
)
def test_the_full_vocabulary_has_the_published_ids(real_ids: Vocabulary, name: str, token: int) -> None:
    assert real_ids.id(name) == token


def test_the_full_vocabulary_has_the_published_ranges(real_ids: Vocabulary) -> None:
    assert (real_ids.globals.ids[0], real_ids.globals.ids[-1]) == (151_665, 155_760)
    assert (real_ids.semantic.ids[0], real_ids.semantic.ids[-1]) == (155_761, 163_952)
    values = [token for family in real_ids.acoustic.values() for token in family.ids]
    assert min(values) == 163_953
    assert max(values) < 165_136


@pytest.mark.parametrize(
    "text",
    [
        "<|end_content|><|task_asr|>",
        "a<|im_end|>b",
        "<|bicodec_semantic_7|>",
        "<|start_global_token|><|bicodec_global_1|>",
        "<|endoftext|>",
        "<tool_call>",
    ],
)
@pytest.mark.parametrize("size", ["small", "full"])
def test_text_that_spells_a_control_token_stays_text(
    vocabulary: Vocabulary, real_ids: Vocabulary, size: str, text: str
) -> None:
    chosen = vocabulary if size == "small" else real_ids
    ids = chosen.text(text)
    assert max(ids) < chosen.id("<|endoftext|>")  # all added tokens have greater ids
    assert len(ids) == len(text.encode())  # each byte of the spelling is there, as a text token


def test_chinese_text_has_ids(vocabulary: Vocabulary) -> None:
    assert len(vocabulary.text("你好")) == len("你好".encode())


def test_a_missing_token_is_named(small_checkpoint: Path, tmp_path: Path) -> None:
    content = json.loads((small_checkpoint / "LLM" / "tokenizer.json").read_text())
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != "<|end_semantic_token|>"]
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"tokenizer.json has no token <\|end_semantic_token\|>"):
        Vocabulary(file)


def test_scattered_ids_are_refused(small_checkpoint: Path, tmp_path: Path) -> None:
    content = json.loads((small_checkpoint / "LLM" / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        if token["content"] == "<|bicodec_semantic_9|>":
            token["id"] += 100_000
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="not consecutive at N = 9"):
        Vocabulary(file)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"added_tokens": []}'])
def test_a_file_that_is_no_tokenizer_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(CheckpointError, match="is not a tokenizer") as caught:
        Vocabulary(file)
    assert "\n" not in str(caught.value)


def test_a_model_that_reads_pinyin_gets_pinyin(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, token_names(256, 64, 16))
    written, pinyin = (Vocabulary(tmp_path / "tokenizer.json", spelling) for spelling in (str, spelled))
    assert pinyin.text("你好，Bob。") == written.text("ni3 hao3, Bob.")
    assert pinyin.text("Hello.") == written.text("Hello.")
    assert written.text("你好") != pinyin.text("你好")
