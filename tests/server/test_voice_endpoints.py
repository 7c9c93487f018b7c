"""Voices and consents over HTTP: responses and errors of each endpoint, with a fake engine."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import openai
import pytest
from fastapi import FastAPI

from engine import EngineConfig
from engine.tokens.vocabulary import Vocabulary
from engine.voices.catalogue import BUILT_IN
from tests.server.conftest import Server, serving
from tests.server.errors import assert_error
from tests.server.fakes import BODY, Fakes, patient, ready
from tests.server.specification import conforms
from tests.server.uploads import agree, sound, upload
from tests.waiting import wait_until

Serve = Callable[[FastAPI], Server]

VOICES, CONSENTS = "/v1/audio/voices", "/v1/audio/voice_consents"


@pytest.fixture(scope="module")
def clip(golden: Path) -> bytes:
    return (golden / "clip.wav").read_bytes()


@pytest.fixture(scope="module")
def fakes(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Fakes:
    return Fakes(vocabulary, tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="module")
def running(fakes: Fakes) -> Iterator[Server]:
    with serving(fakes.app) as running:
        yield running


@pytest.fixture
def http(running: Server) -> Iterator[httpx.Client]:
    """A client, after which no voice and no consent is left."""
    with httpx.Client(base_url=running.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        yield http
        for path in (VOICES, CONSENTS):
            for item in http.get(path, params={"limit": 100}).json()["data"]:
                if item.get("scope") != "built_in":
                    assert http.delete(f"{path}/{item['id']}").status_code == 200


@pytest.fixture
def sdk(running: Server, http: httpx.Client) -> openai.OpenAI:
    return running.client()


def test_a_clean_sample_is_answered_exactly_as_openai_does(http: httpx.Client, clip: bytes) -> None:
    response = upload(http, "Ada", clip)
    conforms("VoiceResource", response.json())
    assert response.json()["name"] == "Ada"


def test_what_will_harm_a_voice_is_said_in_the_answer(http: httpx.Client) -> None:
    warnings = upload(http, "Ada", sound(rate=8_000)).json()["warnings"]
    assert any("8000 Hz" in line for line in warnings)
    assert any("noise" in line for line in warnings)


def test_a_voice_from_attributes(http: httpx.Client, fakes: Fakes) -> None:
    form = {"name": "Bass", "gender": "male", "pitch": "very_low", "seed": "7"}
    made = http.post(VOICES, data=form).json()
    conforms("VoiceResource", made)
    details = http.get(f"{VOICES}/{made['id']}").json()
    assert details["attributes"] == {"gender": "male", "pitch": "very_low", "speed": "moderate", "seed": 7}
    prompts = len(fakes.language_model.prompts)
    speech = http.post("/v1/audio/speech", json=BODY | {"voice": "Bass", "input": "Hello there."})
    assert speech.status_code == 200
    assert len(fakes.language_model.prompts) == prompts + 1  # the sentence, and not the voice again
    assert http.post("/v1/audio/speech", json=BODY | {"voice": "Bass", "pitch": "high"}).status_code == 200


@pytest.mark.parametrize(
    ("form", "param", "message"),
    [
        ({"pitch": "low"}, "gender", "Missing required parameter: 'gender'"),
        ({}, "audio_sample", "Missing required parameter: 'audio_sample'"),
        ({"gender": "robot"}, "gender", "'female' or 'male'"),
        ({"gender": "male", "pitch": "lowest"}, "pitch", "'very_low'"),
        ({"gender": "male", "seed": "-1"}, "seed", "greater than or equal to 0"),
        ({"gender": "male", "transcript": "What it says."}, "transcript", "has no transcript"),
        ({"gender": "male", "scope": "secret"}, "scope", "'shared' or 'private'"),
        ({"gender": "male", "scope": "private"}, "scope", "API key"),
        ({"gender": "male", "name": "a/b"}, "name", "no slashes"),
        ({"gender": "male", "colour": "red"}, "colour", "Unknown parameter: 'colour'"),
        ({"type": "prompt", "prompt": "a deep voice"}, "type", "'audio_sample'"),
        ({"audio_sample": "text"}, "audio_sample", "send it as a file"),
    ],
)
def test_forms_that_make_no_voice(http: httpx.Client, form: dict[str, str], param: str, message: str) -> None:
    assert_error(http.post(VOICES, data={"name": "Voice", **form}), 400, param, message)


def test_a_sample_and_attributes_exclude_each_other(http: httpx.Client, clip: bytes) -> None:
    assert_error(upload(http, "Ada", clip, pitch="low"), 400, "pitch", "not both")


def every_voice(*made: dict[str, str]) -> list[dict[str, str]]:
    """All voices as `voices` has them: the built-in ones, and then these."""
    built_in = [{"id": name, "name": name} for name in BUILT_IN]
    return built_in + [{"id": voice["id"], "name": voice["name"]} for voice in made]


def test_each_voice_has_the_type_that_the_sdk_requires(sdk: openai.OpenAI, http: httpx.Client, golden: Path) -> None:
    made = sdk.audio.voices.create(name="Ada", consent="cons_0", audio_sample=golden.joinpath("clip.wav").open("rb"))
    assert made.type == "audio_sample"
    assert http.post(VOICES, data={"name": "Bass", "gender": "male"}).json()["type"] == "created"
    listed = http.get(VOICES, params={"limit": 100}).json()["data"]
    assert [voice["type"] for voice in listed] == ["built_in"] * len(BUILT_IN) + ["audio_sample", "created"]
    assert http.get(f"{VOICES}/alloy").json()["type"] == "built_in"


def test_details_of_a_voice(http: httpx.Client, clip: bytes) -> None:
    consent = agree(http, clip).json()["id"]
    made = upload(http, "Ada", clip, transcript="What the clip says, in about five seconds.", consent=consent).json()
    details = {
        **made,
        "scope": "shared",
        "consent": consent,
        "transcript": "What the clip says, in about five seconds.",
    }
    assert http.get(f"{VOICES}/{made['id']}").json() == details
    assert http.get(VOICES, params={"after": "verse"}).json() == {
        "object": "list",
        "data": [details],
        "first_id": made["id"],
        "last_id": made["id"],
        "has_more": False,
        "voices": every_voice(made),
    }
    alloy = http.get(f"{VOICES}/alloy").json()
    assert (alloy["scope"], alloy["attributes"]["gender"]) == ("built_in", "female")
    assert_error(http.get(f"{VOICES}/voice_0"), 404, "voice_id", "no voice 'voice_0'")
    assert_error(http.get(f"{VOICES}/%00"), 404, "voice_id", "no voice")


def test_a_sample_comes_back_as_it_was_sent(http: httpx.Client, clip: bytes) -> None:
    for container, media_type in (("WAV", "audio/wav"), ("MP3", "audio/mpeg"), ("FLAC", "audio/flac")):
        data = sound(container)
        made = upload(http, container, data).json()
        response = http.get(f"{VOICES}/{made['id']}/sample")
        assert response.content == data
        assert response.headers["content-type"] == media_type
        assert response.headers["content-disposition"] == "attachment"
        assert response.headers["x-content-type-options"] == "nosniff"
    assert_error(http.get(f"{VOICES}/alloy/sample"), 400, "voice_id", "not made from a sample")
    assert_error(http.get(f"{VOICES}/voice_0/sample"), 404, "voice_id", "no voice")


def test_a_model_that_uses_no_transcripts_says_so(
    vocabulary: Vocabulary, tmp_path: Path, clip: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    transcript = "What the clip says, in about five seconds."
    fakes = Fakes(vocabulary, tmp_path, transcripts=False)
    with serving(fakes.app) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        wait_until(lambda: ready(http))
        told, plain = upload(http, "Told", clip, transcript=transcript).json(), upload(http, "Plain", clip).json()
        later = http.post(f"{VOICES}/{plain['id']}", json={"transcript": transcript}).json()
        assert http.get(f"{VOICES}/{told['id']}").json()["transcript"] == transcript
    for voice in (told, later):
        assert any("does not use it" in warning for warning in voice["warnings"])
    assert not any("transcript" in warning for warning in plain.get("warnings", []))
    assert caplog.text.count("does not use it") == 2


def test_renaming_and_a_transcript(http: httpx.Client, fakes: Fakes, clip: bytes) -> None:
    made = upload(http, "Ada", clip).json()
    encoded = fakes.codec.encoded
    path = f"{VOICES}/{made['id']}"
    assert http.post(path, json={"name": "Eve"}).json()["name"] == "Eve"
    assert http.post("/v1/audio/speech", json=BODY | {"voice": "Eve"}).status_code == 200
    assert_error(http.post("/v1/audio/speech", json=BODY | {"voice": "Ada"}), 400, "voice", "no voice 'Ada'")
    plain = fakes.language_model.prompts[-1]
    changed = http.post(path, json={"transcript": "What the clip says, in about five seconds."}).json()
    assert (changed["name"], changed["transcript"]) == ("Eve", "What the clip says, in about five seconds.")
    http.post("/v1/audio/speech", json=BODY | {"voice": "Eve"})
    assert len(fakes.language_model.prompts[-1].ids) > len(plain.ids) + 250  # five seconds of tokens
    assert "transcript" not in http.post(path, json={"transcript": ""}).json()
    assert fakes.codec.encoded == encoded

    upload(http, "Bob", clip)
    assert_error(http.post(path, json={"name": "Bob"}), 409, "name", "already")
    assert_error(http.post(path, json={"name": "alloy"}), 409, "name", "already")
    assert_error(http.post(path, json={"name": "  "}), 400, "name", "1 to 256")
    assert_error(http.post(path, json={"names": "Eve"}), 400, "names", "Unknown parameter")
    assert_error(http.post(path, json={"transcript": "x" * 4097}), 400, "transcript", "at most 4096")
    assert_error(http.post(f"{VOICES}/alloy", json={"name": "Alloy 2"}), 400, "voice_id", "built-in")
    assert_error(http.post(f"{VOICES}/voice_0", json={"name": "X"}), 404, "voice_id", "no voice")
    assert http.post(path, json={}).json()["name"] == "Eve"


def test_lists_have_pages(http: httpx.Client) -> None:
    made = [http.post(VOICES, data={"name": f"V{n}", "gender": "female"}).json()["id"] for n in range(3)]
    listed: list[str] = []
    more, after = True, {}
    while more:
        page = http.get(VOICES, params={"limit": 7} | after).json()
        ids = [voice["id"] for voice in page["data"]]
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        listed += ids
        more, after = page["has_more"], {"after": ids[-1]}
    assert listed[-3:] == made
    assert len(set(listed)) == len(listed) == 15 + 3
    assert len(http.get(VOICES).json()["data"]) == 18  # the default is 20
    assert http.get(VOICES, params={"after": made[-1]}).json() == {
        "object": "list",
        "data": [],
        "has_more": False,
        "voices": every_voice(*({"id": voice_id, "name": f"V{n}"} for n, voice_id in enumerate(made))),
    }


@pytest.mark.parametrize("path", [VOICES, CONSENTS])
@pytest.mark.parametrize(
    ("params", "param"),
    [({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"limit": "all"}, "limit"), ({"after": "nothing"}, "after")],
)
def test_pages_that_there_are_not(http: httpx.Client, path: str, params: dict[str, str], param: str) -> None:
    assert_error(http.get(path, params=params), 400, param, "")


def test_consents_with_the_sdk(sdk: openai.OpenAI, golden: Path) -> None:
    consents = sdk.audio.voice_consents
    made = [
        consents.create(name=f"Consent {n}", language="en-GB", recording=golden.joinpath("clip.wav").open("rb"))
        for n in range(3)
    ]
    assert [consent.id for consent in consents.list(limit=2)] == [consent.id for consent in made]  # it pages by itself
    assert consents.retrieve(made[0].id) == made[0]
    assert consents.update(made[0].id, name="Renamed").name == "Renamed"
    assert consents.delete(made[0].id).deleted
    with pytest.raises(openai.NotFoundError, match="no consent"):
        consents.retrieve(made[0].id)
    voice = sdk.audio.voices.create(name="Ada", consent=made[1].id, audio_sample=golden.joinpath("clip.wav").open("rb"))
    assert sdk.audio.voices.delete(voice.id).deleted


def test_answers_about_consents_conform_to_the_specification(http: httpx.Client, clip: bytes) -> None:
    empty = http.get(CONSENTS).json()
    conforms("VoiceConsentListResource", empty)
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    made = agree(http, clip).json()
    conforms("VoiceConsentResource", made)
    assert {"name": made["name"], "language": made["language"]} == {"name": "Ada agrees", "language": "en-GB"}
    conforms("VoiceConsentListResource", http.get(CONSENTS).json())
    conforms("VoiceConsentResource", http.get(f"{CONSENTS}/{made['id']}").json())
    conforms("VoiceConsentResource", http.post(f"{CONSENTS}/{made['id']}", json={"name": "Other"}).json())
    conforms("VoiceConsentDeletedResource", http.delete(f"{CONSENTS}/{made['id']}").json())
    gone = http.get(f"{CONSENTS}/{made['id']}")
    assert_error(gone, 404, "consent_id", "no consent")
    conforms("ErrorResponse", gone.json())


def test_consents_that_are_refused(http: httpx.Client, clip: bytes) -> None:
    assert_error(agree(http, b"I agree."), 400, "recording", "not readable as audio")
    assert_error(agree(http, clip, language="english!"), 400, "language", "BCP 47")
    assert_error(agree(http, clip, name="x" * 257), 400, "name", "at most 256")
    assert_error(agree(http, clip, nmae="Ada"), 400, "nmae", "Unknown parameter")
    assert_error(http.post(CONSENTS, data={"name": "Ada", "language": "en"}), 400, "recording", "Missing required")
    made = agree(http, clip).json()["id"]
    assert_error(http.post(f"{CONSENTS}/{made}", json={}), 400, "name", "Missing required")
    assert_error(http.post(f"{CONSENTS}/{made}", json={"name": "X", "language": "de"}), 400, "language", "Unknown")
    assert_error(http.post(f"{CONSENTS}/cons_0", json={"name": "X"}), 404, "consent_id", "no consent")
    assert_error(http.delete(f"{CONSENTS}/cons_0"), 404, "consent_id", "no consent")


def test_where_consent_is_required(serve: Serve, vocabulary: Vocabulary, tmp_path: Path, clip: bytes) -> None:
    fakes = Fakes(vocabulary, tmp_path, config=EngineConfig(require_consent=True))
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        assert_error(upload(http, "Ada", clip), 400, "consent", "requires a consent")
        assert_error(upload(http, "Ada", clip, consent="cons_0"), 400, "consent", "no consent 'cons_0'")
        consent = agree(http, clip).json()["id"]
        voice = upload(http, "Ada", clip, consent=consent).json()["id"]
        assert http.post("/v1/audio/speech", json=BODY | {"voice": voice}).status_code == 200
        http.delete(f"{CONSENTS}/{consent}")
        for name in (voice, "Ada", {"id": voice}):
            refused = http.post("/v1/audio/speech", json=BODY | {"voice": name})
            assert_error(refused, 403, "voice", "'Ada' has no consent")
            assert refused.json()["error"]["code"] == "consent_required"
        assert http.post("/v1/audio/speech", json=BODY).status_code == 200


def test_a_known_voice_runs_no_encoder(http: httpx.Client, fakes: Fakes, clip: bytes) -> None:
    before = fakes.codec.encoded
    voice = upload(http, "Ada", clip).json()["id"]
    assert fakes.codec.encoded == before + 1
    for name in (voice, "Ada", {"id": voice}):
        assert http.post("/v1/audio/speech", json=BODY | {"voice": name}).status_code == 200
    assert fakes.codec.encoded == before + 1


def test_a_store_that_fails_is_503_and_the_server_goes_on(
    serve: Serve, vocabulary: Vocabulary, tmp_path: Path, clip: bytes
) -> None:
    fakes = Fakes(vocabulary, tmp_path)
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http:
        wait_until(lambda: ready(http))
        with closing(sqlite3.connect(tmp_path / "fast-spark.db")) as database:
            database.execute("ALTER TABLE voices RENAME TO elsewhere")
        for response in (http.get(VOICES), upload(http, "Ada", clip)):
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "store_failed"
            assert response.headers["retry-after"]
        with closing(sqlite3.connect(tmp_path / "fast-spark.db")) as database:
            database.execute("ALTER TABLE elsewhere RENAME TO voices")
        assert upload(http, "Ada", clip).status_code == 200


def test_making_voices_is_admitted_as_speaking_is(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(max_requests=1, max_waiting=0))
    with httpx.Client(base_url=serve(fakes.app).url, timeout=60) as http, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: ready(http))
        fakes.language_model.gate.clear()
        begun = len(fakes.language_model.prompts)
        first = pool.submit(http.post, VOICES, data={"name": "Bass", "gender": "male"})
        wait_until(lambda: len(fakes.language_model.prompts) > begun)
        refused = http.post(VOICES, data={"name": "Alto", "gender": "female"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
        fakes.language_model.loop.call_soon_threadsafe(fakes.language_model.gate.set)
        assert first.result().status_code == 200
        assert http.post(VOICES, data={"name": "Alto", "gender": "female"}).status_code == 200
