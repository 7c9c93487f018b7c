"""The demo model speaks the requested text, in every delivery: its speech is compared with that of its teacher, hibari.

`test_understood.py` asks an independent judge, which is larger and takes longer.
"""

import base64
import ctypes.util
import io
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
import soundfile
import yaml

from demo.evaluate import OTHER_PHRASES, median_pitch, right
from demo.natural import NaturalTeacher
from demo.teacher import Setting, Teacher
from demo.texts import held_out, phrases
from demo.voices import CLONED
from engine.checkpoints.layout import demo_directory
from engine.types import CODEC_SAMPLE_RATE, Samples
from server.encoding import FORMATS, AudioFormat
from tests.server.audio import at_codec_rate, decoded, pcm
from tests.server.conftest import COMMAND, Server, running_command

pytest.importorskip("hibari", reason="the teacher is not installed: pip install -e '.[demo]'")
SENTENCES = [held_out()[n] for n in (11, 12, 8, 5, 6)]
"""Those said most clearly in any voice: which ids are drawn can depend on rounding, and so on what runs beside."""
SEED = {"seed": 1}


@pytest.fixture(scope="module")
def teacher() -> NaturalTeacher:
    return NaturalTeacher()


@pytest.fixture(scope="module")
def rendered(teacher: NaturalTeacher) -> dict[str, Samples]:
    """What each held-out sentence sounds like."""
    return {text: teacher.speak(text) for text in held_out()}


@pytest.fixture(scope="module")
def short(teacher: NaturalTeacher) -> dict[str, Samples]:
    """What each short phrase sounds like."""
    return {text: teacher.speak(text) for text in phrases()}


def speak(sdk: openai.OpenAI, text: str, audio_format: AudioFormat = "pcm", voice: str = "alloy") -> Samples:
    response = sdk.audio.speech.create(
        model="tts-1", voice=voice, input=text, response_format=audio_format, extra_body=SEED
    )
    return at_codec_rate(decoded(response.content, audio_format)[0])


@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_format_says_the_text(
    sdk: openai.OpenAI, rendered: dict[str, Samples], audio_format: AudioFormat
) -> None:
    assert right({SENTENCES[0]: speak(sdk, SENTENCES[0], audio_format)}, rendered) == 1


@pytest.mark.parametrize("voice", ["female", "male", "nova"])
def test_what_is_said_at_once_is_said_right(sdk: openai.OpenAI, rendered: dict[str, Samples], voice: str) -> None:
    with ThreadPoolExecutor(len(SENTENCES)) as pool:
        spoken = dict(zip(SENTENCES, pool.map(lambda text: speak(sdk, text, voice=voice), SENTENCES), strict=True))
    assert right(spoken, rendered) == 1


def test_short_phrases_need_no_full_stop(sdk: openai.OpenAI, short: dict[str, Samples]) -> None:
    with ThreadPoolExecutor(8) as pool:
        spoken = dict(zip(short, pool.map(lambda text: speak(sdk, text, voice="male"), short), strict=True))
    assert right(spoken, short, OTHER_PHRASES) > 0.87


def test_a_stream_says_the_text(sdk: openai.OpenAI, rendered: dict[str, Samples]) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=SENTENCES[1], response_format="pcm", extra_body=SEED
    ) as response:
        samples = pcm(b"".join(response.iter_bytes()))
    assert right({SENTENCES[1]: at_codec_rate(samples)}, rendered) == 1


def test_events_say_the_text(demo_server: Server, rendered: dict[str, Samples]) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": SENTENCES[2], "response_format": "pcm", "stream_format": "sse"}
    response = httpx.post(f"{demo_server.url}/v1/audio/speech", json=body | SEED, timeout=240)
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    data = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    assert right({SENTENCES[2]: at_codec_rate(pcm(data))}, rendered) == 1


def test_a_long_text_is_said_in_order(sdk: openai.OpenAI, teacher: NaturalTeacher) -> None:
    texts = held_out()
    joined = [" ".join(texts[first : first + 3]) for first in range(0, 30, 3)]
    joined.append(" ".join(reversed(texts[:3])))
    rendered = {text: teacher.speak(text) for text in joined}
    assert right({joined[0]: speak(sdk, joined[0])}, rendered) == 1


@pytest.mark.parametrize("transcript", [None, " ".join(SENTENCES[:2])])
def test_a_clone_says_the_text_at_the_samples_pitch(
    demo_server: Server, sdk: openai.OpenAI, rendered: dict[str, Samples], transcript: str | None
) -> None:
    if ctypes.util.find_library("espeak-ng") is None:
        pytest.skip("no samples can be made: apt install libespeak-ng1")
    teacher = Teacher()
    for variant in CLONED:  # training never heard them
        sample = teacher.speak(" ".join(SENTENCES[:2]), Setting(variant)).samples
        name = f"{variant} {'with' if transcript else 'without'} transcript"
        response = httpx.post(
            f"{demo_server.url}/v1/audio/voices",
            data={"name": name} | ({"transcript": transcript} if transcript else {}),
            files={"audio_sample": ("sample.wav", wav(sample))},
            timeout=240,
        )
        assert response.status_code == 200, response.text
        spoken = speak(sdk, SENTENCES[3], voice=name)
        assert median_pitch(spoken) == pytest.approx(median_pitch(sample), abs=25)  # a step
        assert right({SENTENCES[3]: spoken}, rendered) == 1


def wav(samples: Samples) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, CODEC_SAMPLE_RATE, format="WAV")
    return file.getvalue()


def test_labels_of_pitch_do_what_they_say(demo_server: Server) -> None:
    found = []
    for pitch in ("very_low", "moderate", "very_high"):
        body = {"model": "tts-1", "voice": "female", "input": SENTENCES[0], "response_format": "pcm", "pitch": pitch}
        response = httpx.post(f"{demo_server.url}/v1/audio/speech", json=body | SEED, timeout=240)
        found.append(median_pitch(at_codec_rate(pcm(response.content))))
    assert found[0] < found[1] < found[2]


def test_llama_cpp_says_the_text(tmp_path: Path, rendered: dict[str, Samples]) -> None:
    pytest.importorskip("llama_cpp", reason="llama.cpp is not built: make llama")
    shutil.copytree(demo_directory(), tmp_path / "model", ignore=shutil.ignore_patterns("*.gguf", "*.lock"))
    settings = tmp_path / "settings.yaml"
    engine = {"backend": "llama-cpp", "model": str(tmp_path / "model"), "data_directory": str(tmp_path)}
    settings.write_text(yaml.safe_dump({"engine": engine}))
    with running_command(tmp_path / "log", "--config", str(settings)) as server:
        sdk = server.client()
        assert right({text: speak(sdk, text) for text in SENTENCES}, rendered) == 1


@pytest.mark.parametrize("voice", ["alloy", "female", "male"])
def test_the_command_says_hello(tmp_path: Path, short: dict[str, Samples], voice: str) -> None:
    file = tmp_path / "hello.wav"
    arguments = ("say", "Hello world", "-o", str(file), "--voice", voice, "--seed", "1")
    subprocess.run([COMMAND, *arguments], check=True, timeout=120)
    samples, rate = soundfile.read(file, dtype="float32")
    assert rate == 24_000
    assert right({"Hello world": at_codec_rate(np.asarray(samples))}, short, OTHER_PHRASES) == 1
