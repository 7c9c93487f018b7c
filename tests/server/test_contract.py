"""The app conforms to its OpenAPI document.

The document describes every response, and requests that are valid by it are not refused for their shape.
"""

import base64
from collections.abc import Iterator
from itertools import count, product

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.tokens.vocabulary import Vocabulary
from server.app import create_app
from tests.server.conftest import serving
from tests.server.fakes import Fakes, patient, ready
from tests.server.uploads import agree, sound, upload
from tests.waiting import wait_until

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = patient(flashtts=True)
SCHEMA = schemathesis.openapi.from_dict(create_app(SETTINGS).openapi())
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]


UNFORESEEN = {  # parameters and codes of refusals that no schema can foresee
    None,
    ("voice", "voice_not_found"),
    ("consent", "consent_not_found"),
    ("sample_rate", None),  # opus does not have all
    ("semantic_tokens", None),  # a codec has fewer
    ("transcript", None),  # the context has no room for it
    ("gender", None),
    ("scope", None),  # only those with a key have private voices
    ("input", None),  # it can be SSML or a dialogue, and is none
    ("verify", None),  # there is no listener
    ("file", None),  # a voice that was exported
}
NUMBERS = count()
WAV = sound()
SAMPLES: dict[str, bytes | str] = dict.fromkeys(
    ("audio_sample", "recording", "reference_audio_file", "audio_file"), WAV
)
SAMPLES |= dict.fromkeys(("reference_audio", "audio"), base64.b64encode(WAV).decode())


@pytest.fixture(scope="module")
def http(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serving(Fakes(vocabulary, tmp_path_factory.mktemp("contract"), SETTINGS).app) as running,
        httpx.Client(base_url=running.url, timeout=240) as http,
    ):
        wait_until(lambda: ready(http))
        yield http


def new_ids(http: httpx.Client) -> dict[str, str]:
    """What there is, by the names of path parameters."""
    voice, consent = upload(http, f"Voice {next(NUMBERS)}", WAV), agree(http, WAV)
    return {"voice_id": voice.json()["id"], "consent_id": consent.json()["id"], "model": "tts-1"}


def with_sound(case: schemathesis.Case) -> None:
    """Let samples be sound: a schema cannot say what is."""
    if isinstance(case.body, dict):
        case.body = {name: SAMPLES.get(name, value) for name, value in case.body.items()}


def with_what_there_is(case: schemathesis.Case, ids: dict[str, str]) -> None:
    """Let a request mean something: otherwise nearly all would end at an unknown name."""
    sense = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "gender": "male", "language": "en"}
    sense |= {"name": f"Voice {next(NUMBERS)}", "consent": ids["consent_id"], "text": "<role:alloy>Hello."}
    case.path_parameters = {name: ids.get(name, value) for name, value in (case.path_parameters or {}).items()}
    if isinstance(case.body, dict):
        case.body = {name: sense.get(name, value) for name, value in case.body.items()}


def refusal(answer: schemathesis.Response) -> tuple[str | None, str | None] | None:
    """The parameter and the code of a 400."""
    if answer.status_code != 400:
        return None
    error = answer.json()["error"]
    return error["param"], error["code"]


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
        for operation, mode in product(OPERATIONS, GenerationMode)
        if mode is GenerationMode.POSITIVE or operation.body or operation.query  # about others nothing can be wrong
    ],
)
def test_every_answer_is_described(
    http: httpx.Client, operation: schemathesis.APIOperation, mode: GenerationMode
) -> None:
    ids = new_ids(http) if operation.path_parameters else {"consent_id": "cons_0"}

    @given(case=operation.as_strategy(generation_mode=mode), sensible=st.booleans())
    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def ask(case: schemathesis.Case, sensible: bool) -> None:
        valid = mode is GenerationMode.POSITIVE
        if valid:
            with_sound(case)
            if sensible:
                with_what_there_is(case, ids)
        answer = case.call_and_validate(base_url=str(http.base_url), checks=CHECKS, timeout=240)
        assert not valid or refusal(answer) in UNFORESEEN, (answer.text, case.body, case.query)

    ask()
