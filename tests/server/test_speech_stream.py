"""/v1/audio/speech/stream over real WebSockets, with the `websockets` client, on an engine of fakes."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import av
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from engine import EngineConfig
from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import Server
from tests.server.fakes import Fakes, patient, set_event
from tests.server.sessions import (
    CANCEL,
    CONFIG,
    DONE,
    FLUSH,
    TEXT,
    Heard,
    Serve,
    of_one_request,
    receive,
    send,
    session,
    started,
    texts,
)
from tests.waiting import until

KEY = "a-key-of-this-server"


@pytest.fixture
def fakes(vocabulary: Vocabulary, tmp_path: Path) -> Fakes:
    return Fakes(vocabulary, tmp_path, config=EngineConfig(sentences_ahead=2))


@pytest.fixture
def server(fakes: Fakes, serve: Serve) -> Server:
    return started(serve(fakes.app))


async def test_text_in_any_parts_gives_the_samples_of_one_request(server: Server) -> None:
    expected = of_one_request(server)
    for size in (1, 7, len(TEXT)):
        async with session(server) as client:
            await send(client, *texts(TEXT[at : at + size] for at in range(0, len(TEXT), size)), DONE)
            heard = await receive(client)
        assert b"".join(heard.audio) == expected
        assert [start["sentence_text"] for start in heard.of("audio.start")] == [
            "The first sentence is here, my friends.",
            "The second one is a little longer.",
            "And a third, to end with.",
        ]
        assert heard.done["total_sentences"] == 3
        assert heard.done["seconds"] == pytest.approx(len(expected) / 2 / 24_000)


async def test_a_sentence_is_heard_before_the_text_is_whole(server: Server) -> None:
    async with session(server) as client:
        await send(client, *texts(["The first sentence is here, my friends. ", "The second one has begun"]))
        heard = await receive(client, "audio.done")
        assert heard.of("audio.start")[0]["sentence_text"] == "The first sentence is here, my friends."
        assert heard.audio
        await send(client, DONE)
        assert (await receive(client)).done["total_sentences"] == 2


async def test_an_unfinished_sentence_waits_no_longer_than_asked(server: Server) -> None:
    async with session(server, CONFIG | {"flush_after_seconds": 0.2}) as client:
        await send(client, *texts(["This is only half of"]))
        assert (await receive(client, "audio.done")).of("audio.start")[0]["sentence_text"] == "This is only half of"


async def test_a_flush_speaks_what_is_there(server: Server) -> None:
    async with session(server, CONFIG | {"flush_after_seconds": 600}) as client:
        await send(client, *texts(["Half a sentence"]), FLUSH)
        assert (await receive(client, "audio.done")).of("audio.start")[0]["sentence_text"] == "Half a sentence"
        await send(client, *texts([" and the rest."]), DONE)
        assert (await receive(client)).of("audio.start")[0]["sentence_text"] == "and the rest."


async def test_sentences_can_be_files_of_their_own(server: Server) -> None:
    config = {key: value for key, value in CONFIG.items() if key not in ("stream_audio", "response_format")}
    async with session(server, config) as client:
        await send(client, *texts([TEXT]), DONE)
        heard = await receive(client)
    assert len(heard.units) == 3
    assert {start["format"] for start in heard.of("audio.start")} == {"wav"}
    for unit, done in zip(heard.units, heard.of("audio.done"), strict=True):
        assert len(unit) == done["total_bytes"]
        with av.open(io.BytesIO(unit)) as file:
            assert sum(frame.samples for frame in file.decode(audio=0)) == 10 * 480


async def test_a_session_without_splitting_has_one_file_for_each_turn(server: Server) -> None:
    config = {"type": "session.config", "speaker": "alloy", "language": "Auto", "split_granularity": "none"}
    config |= {"max_tokens": 10, "seed": 3, "response_format": "wav", "task_type": "CustomVoice"}
    async with session(server, config) as client:
        for turn in range(2):
            await send(client, *texts([TEXT[:50], TEXT[50:]]), DONE)
            heard = await receive(client)
            assert heard.units == [of_one_request(server, response_format="wav", stream=False)]
            assert heard.done["utterance_index"] == turn
            assert heard.done["total_sentences"] == 1
        await send(client, {"type": "session.close"})
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_several_turns_are_spoken_in_order(server: Server) -> None:
    async with session(server) as client:
        await send(client, *texts(["First turn."]), DONE, *texts(["Second turn."]), DONE)
        first, second = await receive(client), await receive(client)
    assert [heard.of("audio.start")[0]["sentence_text"] for heard in (first, second)] == ["First turn.", "Second turn."]
    assert [heard.done["utterance_index"] for heard in (first, second)] == [0, 1]


async def test_pauses_and_clauses(server: Server) -> None:
    async with session(server, CONFIG | {"split_granularity": "clause"}) as client:
        await send(client, *texts(["One clause of several words, another one of them. [pause:1.5s]After it."]), DONE)
        heard = await receive(client)
    starts = [start["sentence_text"] for start in heard.of("audio.start")]
    assert starts == ["One clause of several words,", "another one of them.", "", "After it."]
    assert heard.units[2] == bytes(2 * 36_000)


async def test_timestamps_are_sent_if_asked_for(server: Server) -> None:
    async with session(server, CONFIG | {"timestamps": True}) as client:
        await send(client, *texts([TEXT]), DONE)
        heard = await receive(client)
    times = heard.of("speech.audio.timestamps")
    assert [(time["start"], time["end"]) for time in times] == [(0, 0.2), (0.2, 0.4), (0.4, 0.6)]
    assert [TEXT[slice(*time["span"])] for time in times] == [time["text"] for time in times]


async def test_ssml_is_spoken_when_it_is_complete(server: Server) -> None:
    async with session(server, CONFIG | {"input_format": "ssml"}) as client:
        await send(client, *texts(["<speak>Hello <break time='1s'/>", "again.</speak>"]), DONE)
        heard = await receive(client)
        assert [start["sentence_text"] for start in heard.of("audio.start")] == ["Hello", "", "again."]
        await send(client, *texts(["<speak>Hello"]), DONE)
        broken = await receive(client)
        assert "not well-formed at line 1" in broken.of("error")[0]["message"]


async def test_cancelling_frees_the_sequence_and_says_what_was_sent(fakes: Fakes, server: Server) -> None:
    fakes.language_model.pause_after = 60
    async with session(server, CONFIG | {"max_tokens": 200}) as client:
        await send(client, *texts([TEXT]))
        await receive(client, "audio.start")
        first = await client.recv()
        await send(client, CANCEL)
        heard = await receive(client) if isinstance(first, bytes) else Heard()
        assert heard.of("audio.done")
        assert heard.done["cancelled"] is True
        assert 0 < heard.done["seconds"] <= 60 / 50
        assert TEXT.startswith(heard.done["text"])
        assert 0 < len(heard.done["text"]) < len("The first sentence is here, my friends.")
        await until(lambda: fakes.language_model.running == 0)
        fakes.language_model.pause_after = None
        await send(client, *texts(["A new turn."]), DONE)
        assert (await receive(client)).done["cancelled"] is False


async def test_sessions_that_break_off_leave_nothing_behind(fakes: Fakes, serve: Serve, vocabulary: Vocabulary) -> None:
    server = started(serve(fakes.app))
    finished = 0

    async def one(number: int) -> None:
        nonlocal finished
        async with session(server) as client:
            await send(client, *texts(TEXT[at : at + 9] for at in range(0, len(TEXT), 9)))
            if number % 3 == 0:
                client.transport.abort()
                return
            await send(client, DONE)
            heard = await receive(client)
            finished += 1
            assert heard.of("audio.start") or heard.of("error")

    results = await asyncio.gather(*(one(number) for number in range(100)), return_exceptions=True)
    assert all(isinstance(result, ConnectionClosed) or result is None for result in results), results
    assert finished == 66
    service = fakes.app.state.service
    await until(lambda: service.idle)
    await until(lambda: fakes.language_model.running == 0)
    assert of_one_request(server)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"type": "input.audio"}', "Unknown message type: 'input.audio'"),
        ('{"type": "input.text"}', "Missing required parameter: 'text'"),
        ('{"type": "input.text", "text": 5}', "Invalid 'text'"),
        ("[" * 100_000, "nested too deeply"),
        (b"audio", "not binary"),
        (json.dumps({str(n): n for n in range(200)}), "more than 100 fields"),
    ],
)
async def test_a_bad_message_gets_an_error_and_the_session_goes_on(
    server: Server, message: str | bytes, words: str
) -> None:
    async with session(server) as client:
        await client.send(message)
        error = (await receive(client, "error")).done
        assert words in error["message"]
        assert error["error"]["type"] == "invalid_request_error"
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).done["total_sentences"] == 3


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "input.done"}, "first message must be session.config"),
        (CONFIG | {"speed": 9}, "Invalid 'speed'"),
        (CONFIG | {"sped": 1}, "Did you mean 'speed'?"),
        (CONFIG | {"ref_audio": "data:"}, "Unknown parameter: 'ref_audio'"),
        (CONFIG | {"word_timestamps": True}, "speech.audio.words"),
        (CONFIG | {"model": "whisper-1"}, "does not exist"),
        (CONFIG | {"input": "Hello."}, "Invalid 'input'"),
        (CONFIG | {"response_format": "json"}, "binary messages"),
        (CONFIG | {"response_format": "opus", "sample_rate": 44_100}, "opus does not support"),
    ],
)
async def test_a_session_that_cannot_begin_ends_with_an_error(
    server: Server, config: dict[str, Any], words: str
) -> None:
    async with session(server, config) as client:
        assert words in (await receive(client, "error")).done["message"]
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_an_unknown_voice_is_an_error_of_the_turn(server: Server) -> None:
    async with session(server, CONFIG | {"voice": "nobody"}) as client:
        await send(client, *texts(["The first part"]))
        heard = await receive(client, "error")
        assert heard.done["error"]["code"] == "voice_not_found"
        await send(client, *texts([" and others.", " They are not spoken."]), DONE)
        heard = await receive(client)
        assert [message["type"] for message in heard.messages] == ["session.done"]
        assert heard.done["total_sentences"] == 0
        await send(client, CONFIG, *texts([TEXT]), DONE)
        assert (await receive(client)).done["total_sentences"] == 3


async def test_a_sentence_that_fails_is_said_to_be_incomplete(fakes: Fakes, server: Server) -> None:
    fakes.language_model.pause_after = 60
    async with session(server, CONFIG | {"max_tokens": 200}) as client:
        await send(client, *texts([TEXT]), DONE)
        await receive(client, "audio.start")
        assert await client.recv()
        fakes.codec.fail = True
        set_event(fakes, fakes.language_model.resume)
        heard = await receive(client, units=[b""])
        error, end, done = heard.messages  # in the order of vLLM-Omni
        assert (error["error"]["type"], error["partial_audio"]) == ("server_error", True)
        assert (end["type"], end["error"]) == ("audio.done", True)
        assert (done["type"], done["total_sentences"]) == ("session.done", 1)
        fakes.codec.fail = False
        await send(client, *texts([TEXT]), DONE)
        assert not (await receive(client)).of("error")


async def test_the_audio_of_a_sentence_is_between_its_beginning_and_its_end(server: Server) -> None:
    """So clients of vLLM-Omni, which write a file at each audio.done, have all of it."""
    expected = of_one_request(server, sample_rate=48_000)
    async with session(server, CONFIG | {"sample_rate": 48_000}) as client:
        await send(client, *texts([TEXT]), DONE)
        files, part = [], b""
        while True:
            message = await client.recv()
            if isinstance(message, bytes):
                part += message
                continue
            event = json.loads(message)
            if event["type"] == "audio.start":
                assert (event["sample_rate"], event["channels"], event["format"]) == (48_000, 1, "pcm")
                part = b""
            elif event["type"] == "audio.done":
                assert len(part) == event["total_bytes"]
                files.append(part)
                part = b""
            elif event["type"] == "session.done":
                break
    assert b"".join(files) == expected


async def test_a_cancellation_says_which_sentences_were_sent(fakes: Fakes, server: Server) -> None:
    of_one_request(server)
    first = "The first sentence is here, my friends."
    async with session(server) as client:
        await send(client, *texts([f"{first} The second one"]))
        await receive(client, "audio.done")
        await send(client, CANCEL)
        heard = await receive(client)
    assert heard.done["text"] == first
    assert 0.15 < heard.done["seconds"] <= 0.2  # the last samples wait in the filter for those of the next sentence
    assert heard.done["cancelled"] is True
    await until(lambda: fakes.app.state.service.idle)


async def test_a_message_that_is_too_large_ends_the_session(server: Server) -> None:
    async with session(server) as client:
        await client.send(json.dumps({"type": "input.text", "text": "x" * 200_000}))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("configured", [True, False])
async def test_an_idle_session_is_closed(
    fakes: Fakes, serve: Serve, vocabulary: Vocabulary, tmp_path: Path, configured: bool
) -> None:
    settings = patient(websocket={"idle_seconds": 0.2, "config_seconds": 0.2})
    server = started(serve(Fakes(vocabulary, tmp_path, settings).app))
    address = server.url.replace("http", "ws") + "/v1/audio/speech/stream"
    async with connect(address) as client:
        if configured:
            await send(client, CONFIG)
        heard = await receive(client, "error")
        assert ("idle" if configured else "No session.config") in heard.done["message"]
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_a_turn_has_a_longest_text(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    settings = patient(websocket={"turn_characters": 4096})
    server = started(serve(Fakes(vocabulary, tmp_path, settings).app))
    async with session(server) as client:
        await send(client, *texts([TEXT, "x" * 5000, "And more."]), DONE)
        heard = await receive(client)
        assert "longer than 4096" in heard.of("error")[0]["message"]
        assert heard.done["total_sentences"] == 3


async def test_keys_and_limits_hold(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    settings = patient(api_keys={"ada": KEY}, characters_per_minute=4096, cors_origins=["https://here.example"])
    server = started(serve(Fakes(vocabulary, tmp_path, settings).app))
    with pytest.raises(InvalidStatus) as refused:
        async with session(server):
            pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
    protocols = [Subprotocol("speech"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
    with pytest.raises(InvalidStatus) as refused:
        async with session(server, origin="https://elsewhere.example", subprotocols=protocols):
            pass
    assert refused.value.response.status_code == 403
    async with session(server, origin="https://here.example", subprotocols=protocols) as client:
        assert client.subprotocol == "speech"
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).done["total_sentences"] == 3
    async with session(server, additional_headers={"Authorization": f"Bearer {KEY}"}) as client:
        await send(client, *texts([TEXT, TEXT * 41]), DONE)
        heard = await receive(client)
        assert heard.of("error")[0]["error"]["code"] == "rate_limit_exceeded"


async def test_a_turn_waits_for_a_place_as_a_request_does(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(max_requests=1, max_waiting=0))
    server = started(serve(fakes.app))
    fakes.language_model.pause_after = 5
    async with session(server) as first, session(server) as second:
        await send(first, *texts([TEXT]), DONE)
        await until(lambda: fakes.app.state.service.admission.running == 1)
        await send(second, *texts([TEXT]), DONE)
        assert (await receive(second)).of("error")[0]["error"]["code"] == "overloaded"
        set_event(fakes, fakes.language_model.resume)
        assert (await receive(first)).done["total_sentences"] == 3


async def test_a_turn_has_a_deadline(serve: Serve, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(deadline_seconds=0.3, deadline_factor=0))
    server = started(serve(fakes.app))
    fakes.language_model.pause_after = 5
    async with session(server) as client:
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).of("error")[0]["error"]["code"] == "deadline_exceeded"
    await until(lambda: fakes.language_model.running == 0)


async def test_other_paths_have_no_websocket(server: Server) -> None:
    with pytest.raises(InvalidStatus):
        async with connect(server.url.replace("http", "ws") + "/v1/audio/speech"):
            pass
