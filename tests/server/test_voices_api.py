"""/v1/audio/voices of the real server."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import openai
import pytest
import soundfile

from tests.server.conftest import running_command
from tests.server.test_bad_requests import assert_error

OPENAI_NAMES = {"alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse"}
OPENAI_NAMES |= {"marin", "cedar"}
SPEECH = {"model": "tts-1", "input": "Hi there.", "response_format": "pcm", "seed": 1, "max_tokens": 10}


def sound(
    audio_format: str = "WAV", seconds: float = 2.0, rate: int = 16_000, channels: int = 1, **kwargs: str
) -> bytes:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (int(seconds * rate), channels))
    file = io.BytesIO()
    soundfile.write(file, noise, rate, format=audio_format, **kwargs)
    return file.getvalue()


def upload(http: httpx.Client, name: str, data: bytes, **fields: str) -> httpx.Response:
    return http.post("/v1/audio/voices", data={"name": name, **fields}, files={"audio_sample": ("sample", data)})


@pytest.fixture
def ada(http: httpx.Client, golden: Path) -> Iterator[dict[str, object]]:
    """A voice named Ada."""
    response = upload(http, "Ada", (golden / "clip.wav").read_bytes())
    assert response.status_code == 200, response.text
    yield response.json()
    http.delete(f"/v1/audio/voices/{response.json()['id']}")


def test_a_voice_can_be_used_at_once_by_name_and_by_id(http: httpx.Client, ada: dict[str, str]) -> None:
    assert ada["object"] == "audio.voice"
    assert ada["name"] == "Ada"
    answers = [
        http.post("/v1/audio/speech", json=SPEECH | {"voice": voice})
        for voice in ("Ada", ada["id"], {"id": ada["id"]}, "alloy")
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    by_name, by_id, by_reference, alloy = (answer.content for answer in answers)
    assert by_name == by_id == by_reference != alloy


def test_the_sdk_makes_uses_and_deletes_a_voice(client: openai.OpenAI, golden: Path) -> None:
    voice = client.audio.voices.create(
        name="Grace", audio_sample=golden.joinpath("clip.wav").open("rb"), consent="cons_1"
    )
    speech = client.audio.speech.create(
        model="tts-1", voice={"id": voice.id}, input="Hi.", extra_body={"max_tokens": 5}
    )
    assert len(speech.content) > 100
    assert client.audio.voices.delete(voice.id).deleted
    with pytest.raises(openai.BadRequestError, match="no voice"):
        client.audio.speech.create(model="tts-1", voice={"id": voice.id}, input="Hi.")
    with pytest.raises(openai.NotFoundError):
        client.audio.voices.delete(voice.id)


def test_a_transcript_changes_how_the_voice_speaks(http: httpx.Client, golden: Path) -> None:
    clip = golden.joinpath("clip.wav").read_bytes()
    plain = upload(http, "Plain", clip).json()["id"]
    told = upload(http, "Told", clip, transcript="What the clip says.").json()["id"]
    one, other = (http.post("/v1/audio/speech", json=SPEECH | {"voice": voice}).content for voice in (plain, told))
    assert one != other
    for voice in (plain, told):
        assert http.delete(f"/v1/audio/voices/{voice}").json() == {
            "object": "audio.voice.deleted",
            "id": voice,
            "deleted": True,
        }


def test_the_list_has_built_in_voices_and_uploaded_ones(http: httpx.Client, ada: dict[str, str]) -> None:
    listed = http.get("/v1/audio/voices").json()
    names = [voice["name"] for voice in listed["data"]]
    assert listed["object"] == "list"
    assert {"female", "male", *OPENAI_NAMES, "Ada"} <= set(names)
    assert ada in listed["data"]


@pytest.mark.parametrize(
    "data",
    [
        sound("WAV", rate=44_100, channels=2),
        sound("FLAC", rate=48_000),
        sound("MP3", rate=22_050),
        sound("OGG", rate=48_000, subtype="OPUS"),
        sound("OGG", rate=44_100, subtype="VORBIS"),
        sound("WAV", rate=8_000, subtype="PCM_U8"),
    ],
    ids=["wav", "flac", "mp3", "opus", "vorbis", "8-bit"],
)
def test_samples_of_every_kind(http: httpx.Client, data: bytes) -> None:
    response = upload(http, "Kind", data)
    assert response.status_code == 200, response.text
    http.delete(f"/v1/audio/voices/{response.json()['id']}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"this is not audio at all", "WAV, FLAC, MP3 or Ogg"),
        (sound(seconds=0.5), "send at least 1 s"),
        (sound(seconds=31), "long"),
        (sound(seconds=2)[:60], ""),
        (sound("WAV", seconds=2).replace(sound("WAV", seconds=2)[44:], bytes(64_000)), "silent"),
    ],
    ids=["empty", "text", "short", "long", "truncated", "silent"],
)
def test_a_useless_sample_is_refused(http: httpx.Client, data: bytes, message: str) -> None:
    before = http.get("/v1/audio/voices").json()
    assert_error(upload(http, "Useless", data), 400, "audio_sample", message)
    assert http.get("/v1/audio/voices").json() == before


def test_a_sample_that_is_too_large(http: httpx.Client) -> None:
    assert_error(upload(http, "Large", bytes(10 * 2**20 + 1)), 400, "audio_sample", "larger than")
    assert_error(upload(http, "Larger", bytes(11 * 2**20)), 413, None, "larger than")


def test_forms_that_lack_something(http: httpx.Client, ada: dict[str, str]) -> None:
    wav = sound()
    assert_error(http.post("/v1/audio/voices", data={"name": "X"}), 400, "audio_sample", "Missing required")
    assert_error(http.post("/v1/audio/voices", files={"audio_sample": ("x", wav)}), 400, "name", "Missing required")
    assert_error(http.post("/v1/audio/voices", data={"name": "X", "audio_sample": "text"}), 400, "audio_sample", "")
    assert_error(upload(http, "", wav), 400, "name", "")
    assert_error(upload(http, "   ", wav), 400, "name", "1 to 256 characters")
    assert_error(upload(http, "x" * 257, wav), 400, "name", "at most 256")
    assert_error(upload(http, "Ada", wav), 409, "name", "already")
    assert_error(upload(http, "alloy", wav), 409, "name", "already")
    assert_error(http.post("/v1/audio/voices", json={"name": "X"}), 400, "name", "")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_error(http.post("/v1/audio/voices", content=b"--y\r\n", headers=broken), 400, None, "")
    no_boundary = {"Content-Type": "multipart/form-data"}
    assert_error(http.post("/v1/audio/voices", content=b"--y\r\n", headers=no_boundary), 400, None, "")


def test_what_cannot_be_deleted(http: httpx.Client) -> None:
    assert_error(http.delete("/v1/audio/voices/voice_0"), 404, "voice_id", "no voice 'voice_0'")
    assert_error(http.delete("/v1/audio/voices/alloy"), 400, "voice_id", "built-in")


def test_an_uploaded_voice_survives_a_restart(
    small_checkpoint: Path, tmp_path: Path, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAST_SPARK_ENGINE__DATA_DIRECTORY", str(tmp_path / "data"))
    heard = []
    for start in range(2):
        with (
            running_command(tmp_path / "log", "--model", str(small_checkpoint)) as server,
            httpx.Client(base_url=server.url, timeout=60) as http,
        ):
            if start == 0:
                assert upload(http, "Ada", golden.joinpath("clip.wav").read_bytes()).status_code == 200
            heard += [http.post("/v1/audio/speech", json=SPEECH | {"voice": v}).content for v in ("Ada", "alloy")]
    assert heard[:2] == heard[2:]


@pytest.fixture(scope="module")
def specification() -> dict[str, object]:
    file = Path(__file__).parent / "speech-openapi.json"
    content: dict[str, object] = json.loads(file.read_text())
    return content


def conforms(specification: dict[str, object], schema: str, value: object) -> None:
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", **specification})


def test_answers_conform_to_the_specification(
    http: httpx.Client, ada: dict[str, str], specification: dict[str, object]
) -> None:
    conforms(specification, "VoiceResource", ada)
    conforms(specification, "ListModelsResponse", http.get("/v1/models").json())
    conforms(specification, "Model", http.get("/v1/models/tts-1").json())
    conforms(specification, "ErrorResponse", http.get("/v1/models/nothing").json())
    events = http.post("/v1/audio/speech", json=SPEECH | {"voice": "alloy", "stream_format": "sse"}).text
    for line in filter(None, events.splitlines()):
        conforms(specification, "CreateSpeechResponseStreamEvent", json.loads(line.removeprefix("data: ")))
