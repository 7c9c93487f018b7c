"""Numbers at the limits of their ranges, in single fields and combined: a response, or an error with the field."""

import json
import sys
from typing import Any

import httpx
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.attacks.running import SHORT

LARGEST, SMALLEST = sys.float_info.max, sys.float_info.min
ODD = [5e-324, SMALLEST, 1e-300, 1e-45, 1e-42, 1e-38, 1e-9, LARGEST, 1e39, 65_536.0, 2**24 + 1.0]
EDGES: dict[str, list[float]] = {
    "speed": [0.25, 4.0, 0.2499999999999999, 4.000000000000001, 1.0000000000000002, 0.9999999999999999],
    "temperature": [0.0, 2.0, 2.0000000000000004, 0.01, 0.009999999999999998],
    "top_k": [0, 1, 10_000, 10_001, 8192],
    "top_p": [0.0, 1.0, 1.0000000000000002, 0.9999999999999999],
    "repetition_penalty": [0.1, 10.0, 0.09999999999999999, 10.000000000000002, 1.0000000000000002],
    "max_tokens": [0, 1, 6],
    "sample_rate": [0, 1, 8000, 16_000, 24_000, 44_100, 48_000, 192_000],
    "seed": [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 2**53 + 1],
}
INTEGERS = [0, 1, -1, 2**31, 2**63, 2**64, 10**300, -(10**300), 10**400]


def numbers(field: str) -> st.SearchStrategy[Any]:
    """What a client may send where a number belongs; most of it is one."""
    edges = st.sampled_from([*EDGES[field], *ODD])
    return st.one_of(
        edges,
        edges.map(lambda value: -value),
        st.sampled_from([value for value in EDGES[field] if float(value).is_integer()] or [1]).map(int),
        st.sampled_from(INTEGERS),
        st.booleans(),
        st.none(),
        st.sampled_from(["1", "", "NaN", [], {}, [1]]),
        st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    )


def within(field: str) -> st.SearchStrategy[Any]:
    """Numbers that are taken."""
    lowest, highest = {"speed": (0.25, 4.0), "repetition_penalty": (0.1, 10.0), "temperature": (0.0, 2.0)}.get(
        field, (SMALLEST, 1.0)
    )
    edges = [value for value in [*EDGES.get(field, []), *ODD] if lowest <= value <= highest]
    return st.sampled_from(edges) | st.floats(lowest, highest)


def ask(http: httpx.Client, fields: dict[str, Any]) -> httpx.Response:
    """Send the fields as they are, with numbers that JSON does not have."""
    body = json.dumps(SHORT | fields).encode()
    return http.post("/v1/audio/speech", content=body, headers={"Content-Type": "application/json"})


relentless = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relentless
@given(st.sampled_from(sorted(EDGES)).flatmap(lambda field: st.tuples(st.just(field), numbers(field))))
@example(("temperature", 1e-300))
def test_one_number_at_its_extremes(http: httpx.Client, field_and_value: tuple[str, Any]) -> None:
    field, value = field_and_value
    answer = ask(http, {field: value, "max_tokens": 5} | ({field: value} if field == "max_tokens" else {}))
    if answer.status_code == 400:
        assert answer.json()["error"]["param"] in (field, None), answer.text  # None: it is not JSON at all
    else:
        assert answer.status_code == 200, answer.text
        assert answer.content


@relentless
@given(
    st.fixed_dictionaries(
        {"max_tokens": st.integers(1, 8)},
        optional={
            **{field: within(field) for field in ("speed", "temperature", "top_p", "repetition_penalty")},
            "top_k": st.sampled_from([0, 1, 2, 50, 8192, 10_000]),
            "seed": st.integers(-(2**63), 2**63 - 1) | st.none(),
            "gender": st.sampled_from(["female", "male", None]),
            "pitch": st.sampled_from(["very_low", "very_high", None]),
            "response_format": st.sampled_from(["mp3", "opus", "aac", "flac", "wav", "pcm"]),
            "stream_format": st.sampled_from(["audio", "sse"]),
            "sample_rate": st.sampled_from([24_000, 48_000]),
            "instructions": st.sampled_from(["", "Whisper.", None]),
            "input": st.sampled_from(
                ["Hi.", "Oh 啊。" * 20, "e" + "\u0301" * 4000, "🎉 1e-300 -0.0", "Hm " + "𠀀" * 30]
            ),
        },
    )
)
def test_all_parameters_together(http: httpx.Client, fields: dict[str, Any]) -> None:
    answer = ask(http, fields)
    assert answer.status_code == 200, answer.text
    assert answer.content
    assert b"event: error" not in answer.content
