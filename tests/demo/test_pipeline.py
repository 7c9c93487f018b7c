"""Every stage of the training, from an empty folder to a checkpoint that the server takes, for seconds each."""

import ctypes.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from demo import (
    begin,
    corpus,
    export,
    flat_speech,
    gather,
    language_model,
    samples,
    train_decoder,
    train_encoder,
    train_speaker,
)
from demo.lessons import CONTENT, Lessons
from demo.material import FILE, Material
from demo.model import vocabulary
from demo.texts import PROSE
from demo.tokens import CODES
from engine import EngineConfig, Sampling, SpeechEngine, SpeechRequest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        ctypes.util.find_library("espeak-ng") is None, reason="the teacher is not installed: apt install libespeak-ng1"
    ),
    pytest.mark.skipif(not PROSE.is_dir(), reason="there is no prose: apt install fortunes"),
]
MOMENT = 0.02  # minutes


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("corpus")
    corpus.main(directory, voices=corpus.SHARD_VOICES, texts=corpus.SHARD_TEXTS, mandarin=0)
    samples.main(directory, samples=samples.SHARD)
    return directory


@pytest.fixture(scope="module")
def state(said: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("state")
    train_speaker.main(said, out, minutes=MOMENT, threads=1)
    flat_speech.main(out, sentences=flat_speech.SHARD)
    gather.main(said, out)
    language_model.main(out, minutes=MOMENT, threads=1)
    train_decoder.main(out, minutes=MOMENT, threads=1)
    train_encoder.main(said, out, minutes=MOMENT, threads=1)
    return out


def test_lessons_are_prompts_as_the_engine_makes_them(state: Path) -> None:
    lessons = Lessons(Material.load(state / FILE), np.random.default_rng(0), 1300)
    semantic, end = vocabulary().semantic, vocabulary().id("<|end_semantic_token|>")
    closed = vocabulary().id("<|end_content|>")
    created = continued = unpunctuated = 0
    for lesson in (lesson for _ in range(60) for lesson in lessons.batch()):
        assert lesson.answer[-1] == end
        assert len(lesson.answer) == len(lesson.letters) == len(lesson.ends)
        created += lesson.letters[0] == -1
        continued += semantic.first <= lesson.prompt[-1] < semantic.first + CODES
        text = lesson.prompt[CONTENT : lesson.prompt.tolist().index(closed)]
        assert max(lesson.letters) == len(text) - 1
        assert max(lesson.ends) <= len(text)  # what ends the text ends a word that nothing else does
        unpunctuated += lesson.ends[-1] == len(text)
    assert created
    assert continued
    assert unpunctuated


async def test_what_was_trained_for_moments_can_be_served(state: Path, tmp_path: Path) -> None:
    export.main(state, tmp_path / "model")
    config = EngineConfig(model=str(tmp_path / "model"), data_directory=tmp_path)
    engine = SpeechEngine.load(config)
    try:
        request = SpeechRequest("Hello.", "female", sampling=Sampling(seed=0))
        samples = np.concatenate([chunk.samples async for chunk in engine.synthesize(request)])
    finally:
        await engine.close()
    assert np.abs(samples).max() > 0


def test_a_checkpoint_taken_apart_and_put_together_is_the_same(said: Path, state: Path, tmp_path: Path) -> None:
    export.main(state, tmp_path / "first")
    begin.main(tmp_path / "first", said, tmp_path / "state")
    export.main(tmp_path / "state", tmp_path / "second")
    for name in ("LLM/model.safetensors", "BiCodec/model.safetensors"):
        one, other = (load_file(tmp_path / part / name) for part in ("first", "second"))
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert torch.allclose(value.float(), other[key].float(), atol=0.02), key
