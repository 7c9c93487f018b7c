"""/v1/audio/voices of the real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.server.conftest import running_command
from tests.server.errors import assert_error
from tests.server.specification import conforms
from tests.server.uploads import sound, upload

OPENAI_NAMES = {"alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse"}
OPENAI_NAMES |= {"marin", "cedar"}
SPEECH = {"model": "tts-1", "input": "Hi there.", "response_format": "pcm", "seed": 1, "max_tokens": 10}


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
    listed = http.get("/v1/audio/voices", params={"limit": 100}).json()
    names = [voice["name"] for voice in listed["data"]]
    assert listed["object"] == "list"
    assert {"female", "male", *OPENAI_NAMES, "Ada"} <= set(names)
    assert ada["id"] in [voice["id"] for voice in listed["data"]]


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
            httpx.Client(base_url=server.url, timeout=240) as http,
        ):
            if start == 0:
                assert upload(http, "Ada", golden.joinpath("clip.wav").read_bytes()).status_code == 200
            heard += [http.post("/v1/audio/speech", json=SPEECH | {"voice": v}).content for v in ("Ada", "alloy")]
    assert heard[:2] == heard[2:]


def test_answers_conform_to_the_specification(http: httpx.Client, ada: dict[str, str]) -> None:
    conforms("VoiceResource", ada)
    conforms("ListModelsResponse", http.get("/v1/models").json())
    conforms("Model", http.get("/v1/models/tts-1").json())
    conforms("ErrorResponse", http.get("/v1/models/nothing").json())
    events = http.post("/v1/audio/speech", json=SPEECH | {"voice": "alloy", "stream_format": "sse"}).text
    for line in filter(None, events.splitlines()):
        conforms("CreateSpeechResponseStreamEvent", json.loads(line.removeprefix("data: ")))
