"""What was trained is what is served: the training's networks and the engine's compute the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen2ForCausalLM

from demo import export, language_model
from demo.model import SHARPNESS, codec_config
from demo.train_decoder import Speaking
from demo.train_encoder import Listening
from demo.train_speaker import SpeakerTask
from demo.trainable import trainable
from demo.wave_training import waves
from demo.waveform_basis import LENGTH, SHAPES, build
from engine.codec import BiCodec
from engine.llm.base import Chunk
from engine.llm.pytorch.runner import TorchModelRunner
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import SAMPLES_PER_TOKEN

SHAPES_OF_SOUND = torch.randn(SHAPES, LENGTH, generator=torch.Generator().manual_seed(0)) / 50


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.nn.Module]]:
    """A checkpoint of random weights, exported from a state as training leaves it, and the training's modules."""
    torch.manual_seed(0)
    state, out = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("checkpoint")
    network = trainable(codec_config())
    build(network.decoder, SHAPES_OF_SOUND)
    for parameter in network.decoder.parameters():  # as after training: no layer is idle
        parameter.data += 0.05 * parameter.std(correction=0) * torch.randn_like(parameter)
    modules = {
        "speaker": SpeakerTask(network.speaker_encoder),
        "speaking": Speaking(network),
        "listening": Listening(network),
        "model": Qwen2ForCausalLM(language_model.config()),
    }
    files = {"speaker": "speaker", "speaking": "codec", "listening": "listener", "model": "language_model"}
    for name, module in modules.items():
        for parameter in module.parameters():  # what half precision cannot hold would differ
            parameter.data = parameter.data.half().float()
        torch.save({name: module.state_dict()}, state / f"{files[name]}.pt")
    export.main(state, out)
    return out, {name: module.eval() for name, module in modules.items()}


def test_tokens_sound_as_in_training(untrained: tuple[Path, dict[str, torch.nn.Module]]) -> None:
    directory, modules = untrained
    codec = BiCodec.from_checkpoint(directory)
    random = np.random.default_rng(0)
    semantic, voice = random.integers(codec.codebook_size, size=40), random.integers(64, size=32)
    with torch.inference_mode():
        expected = modules["speaking"](torch.from_numpy(semantic)[None], torch.from_numpy(voice)[None])[0].numpy()
    spoken = codec.decode(semantic, voice)
    assert np.std(spoken - expected) < 0.03 * np.std(expected)  # the codebook's rows are rounded to half precision


def test_samples_are_heard_as_in_training(untrained: tuple[Path, dict[str, torch.nn.Module]]) -> None:
    directory, modules = untrained
    codec = BiCodec.from_checkpoint(directory)
    wave = np.random.default_rng(0).uniform(-0.3, 0.3, 16_080).astype(np.float32)
    _, semantic = codec.encode(wave)
    with torch.inference_mode():
        rows = modules["speaking"].codebook()
        expected = (modules["listening"](torch.from_numpy(wave)[None])[0] @ rows.T).argmax(-1).numpy()
    assert (semantic == expected).mean() > 0.9  # rows are rounded to half precision


def test_the_language_model_is_the_one_that_was_trained(untrained: tuple[Path, dict[str, torch.nn.Module]]) -> None:
    directory, modules = untrained
    ids = Grammar(Vocabulary(directory / "LLM" / "tokenizer.json")).ids
    runner = TorchModelRunner(
        directory / "LLM", ids, slots=1, context=256, device=torch.device("cpu"), precision="float32"
    )
    prompt = list(range(100, 140))
    with torch.inference_mode():
        expected = SHARPNESS * modules["model"](torch.tensor([prompt])).logits[0, -1, torch.from_numpy(ids)]
    assert torch.allclose(runner.prefill([Chunk(0, prompt, 0)])[0], expected, atol=1e-3)


def test_a_wave_generator_begins_as_a_sum_of_shapes() -> None:
    generator = trainable(codec_config()).decoder
    build(generator, SHAPES_OF_SOUND)
    first = generator.model[0]
    torch.nn.init.zeros_(first.weight)
    first.weight.data[:, :, 3] = torch.eye(*first.weight.shape[:2])  # frames are amounts of the first shapes
    amounts = torch.zeros(1, 20, first.weight.shape[1])
    amounts[0, 7, 5] = 2.0
    spoken = waves(generator, amounts).detach()
    at = 7 * SAMPLES_PER_TOKEN - SAMPLES_PER_TOKEN // 2
    assert torch.allclose(torch.atanh(spoken)[0, at : at + LENGTH], 2 * SHAPES_OF_SOUND[5], atol=0.01)
    assert spoken[0, :at].abs().max() < 0.01
