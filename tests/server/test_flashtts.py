"""FlashTTS's endpoints, with the requests of its documentation, on a fake engine."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from engine.tokens.vocabulary import Vocabulary
from engine.voices.catalogue import BUILT_IN
from server.encoding import FORMATS, MEDIA_TYPES
from tests.server.conftest import serving
from tests.server.errors import assert_error
from tests.server.fakes import Fakes, patient, ready
from tests.server.uploads import sound
from tests.waiting import wait_until

SAMPLING = {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "max_tokens": 2048}
SPEAK: dict[str, Any] = {
    "name": "male",
    "text": "Hello, world!",
    "pitch": "moderate",
    "speed": "moderate",
    "repetition_penalty": 1.0,
    "length_threshold": 50,
    "window_size": 50,
    "stream": False,
    "response_format": "mp3",
    **SAMPLING,
}


@pytest.fixture(scope="module")
def fakes(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Fakes:
    return Fakes(vocabulary, tmp_path_factory.mktemp("flashtts"), patient(flashtts=True))


@pytest.fixture(scope="module")
def http(fakes: Fakes) -> Iterator[httpx.Client]:
    with serving(fakes.app) as running, httpx.Client(base_url=running.url, timeout=240) as http:
        wait_until(lambda: ready(http))
        yield http


def roles(http: httpx.Client) -> list[str]:
    answer = http.get("/audio_roles").json()
    assert answer["success"]
    return list(answer["roles"])


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("stream", [True, False])
def test_speak(http: httpx.Client, audio_format: str, stream: bool) -> None:
    answer = http.post("/speak", json=SPEAK | {"response_format": audio_format, "stream": stream})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPES[audio_format]
    assert ("content-length" in answer.headers) is not stream


def test_pcm_is_at_the_rate_that_the_server_names(http: httpx.Client) -> None:
    info = http.get("/server_info").json()["info"]
    assert (info["sample_rate"], info["model"], info["roles"]) == (16_000, "demo", list(BUILT_IN))
    ten = {"max_tokens": 10}
    pcm = http.post("/speak", json=SPEAK | ten | {"response_format": "pcm"}).content
    assert len(pcm) == 2 * 10 * 320
    wav = http.post("/speak", json=SPEAK | ten | {"response_format": "wav"}).content
    assert soundfile.info(io.BytesIO(wav)).samplerate == 16_000
    fast = http.post("/speak", json=SPEAK | ten | {"response_format": "pcm", "speed": "very_high"}).content
    assert len(fast) == pytest.approx(len(pcm) / 1.5, abs=4)


def test_a_pitch_is_another_voice_and_moderate_is_as_it_is(http: httpx.Client, fakes: Fakes) -> None:
    prompts = []
    for change in ({"pitch": None}, {"pitch": "moderate"}, {"speed": None}, {"pitch": "very_high"}):
        assert http.post("/speak", json=SPEAK | {"name": "alloy"} | change).status_code == 200  # a low voice
        prompts.append(fakes.language_model.prompts[-1])
    plain, moderate, null, high = prompts
    assert plain == moderate == null != high


def test_a_dialogue(http: httpx.Client) -> None:
    dialogue = "<role:female> Hello! <role:male> I'm good, thank you! <role:female> 😊"
    body = {"text": dialogue, "stream": True, "response_format": "pcm", **SAMPLING, "max_tokens": 10}
    lines = [
        http.post("/speak", json=SPEAK | {"name": name, "text": text, "response_format": "pcm", "max_tokens": 10})
        for name, text in (("female", "Hello!"), ("male", "I'm good, thank you!"))
    ]
    expected = bytes(2 * round(0.3 * 16_000)).join(line.content for line in lines)  # a pause, and nothing for an emoji
    for stream in (True, False):
        assert http.post("/multi_speak", json=body | {"stream": stream}).content == expected
    note = http.post("/multi_speak", json=body | {"text": "<role:female> Hello!\nNote: this is no role."})
    assert note.status_code == 200, note.text
    assert_error(http.post("/multi_speak", json=body | {"text": "Hello!"}), 400, "text", "<role:female>")
    assert_error(http.post("/multi_speak", json=body | {"text": "<role:nobody> Hello!"}), 400, "voice", "'nobody'")


def test_a_clone_is_not_kept(http: httpx.Client, golden: Path) -> None:
    clip = golden.joinpath("clip.wav").read_bytes()
    form = {"text": "Clone audio", "temperature": 0.9, "response_format": "pcm", "max_tokens": 10}
    before = roles(http)
    by_file = http.post("/clone_voice", data=form, files={"reference_audio_file": clip})
    by_text = http.post("/clone_voice", data=form | {"reference_audio": base64.b64encode(clip).decode(), **SAMPLING})
    streamed = http.post("/clone_voice", data=form | {"stream": "true"}, files={"reference_audio_file": clip})
    assert {answer.status_code for answer in (by_file, by_text, streamed)} == {200}, by_text.text
    assert by_file.content == streamed.content
    other = http.post("/clone_voice", data=form, files={"reference_audio_file": sound()})
    assert (other.status_code, other.content != by_file.content) == (200, True)
    assert roles(http) == before


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({}, "reference_audio_file", "Missing required"),
        ({"reference_audio": "https://example.com/voice.wav"}, "reference_audio", "URLs are not supported"),
        ({"reference_audio": "not base64!"}, "reference_audio", "not base64"),
        ({"reference_audio": "größe"}, "reference_audio", "not base64"),
        ({"reference_audio": base64.b64encode(b"text").decode()}, "audio_sample", "not readable as audio"),
        ({"pitch": "1.0"}, "pitch", "'very_low'"),
        ({"colour": "red"}, "colour", "Unknown parameter"),
    ],
)
def test_clones_that_cannot_be(http: httpx.Client, change: dict[str, str], param: str, message: str) -> None:
    before = roles(http)
    assert_error(http.post("/clone_voice", data={"text": "Hello."} | change), 400, param, message)
    assert roles(http) == before


def test_speakers_come_and_go(http: httpx.Client, golden: Path) -> None:
    with golden.joinpath("clip.wav").open("rb") as clip:
        form = {"name": "new_speaker", "reference_text": "What the clip says, in about five seconds."}
        added = http.post("/add_speaker", data=form, files={"audio_file": clip})
    assert added.json() == {"success": True, "role": "new_speaker"}
    assert http.get("/v1/audio_roles").json() == {"success": True, "roles": [*BUILT_IN, "new_speaker"]}
    assert http.post("/speak", json=SPEAK | {"name": "new_speaker"}).status_code == 200
    assert http.post("/delete_speaker", data={"name": "new_speaker"}).json() == {"success": True, "role": "new_speaker"}
    assert roles(http) == list(BUILT_IN)
    assert_error(http.post("/delete_speaker", data={"name": "new_speaker"}), 400, "voice", "no voice 'new_speaker'")
    assert_error(http.post("/delete_speaker", data={"name": "alloy"}), 400, "voice_id", "built-in")
    assert_error(http.post("/speak", json=SPEAK | {"name": "new_speaker"}), 400, "voice", "no voice 'new_speaker'")


def test_they_are_off_unless_they_are_asked_for(vocabulary: Vocabulary, tmp_path: Path) -> None:
    with serving(Fakes(vocabulary, tmp_path).app) as running, httpx.Client(base_url=running.url, timeout=240) as http:
        assert http.post("/speak", json=SPEAK).status_code == 404
        assert http.get("/audio_roles").status_code == 404
