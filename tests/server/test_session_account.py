"""What a session says of a turn, and counts of it: characters, seconds that were sent, and the text that they say."""

from pathlib import Path
from typing import Any

import pytest

from engine import EngineConfig, speech_weight
from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import Server
from tests.server.fakes import Fakes, patient, set_event
from tests.server.sessions import CANCEL, CONFIG, DONE, FLUSH, TEXT, Serve, receive, send, session, started, texts
from tests.waiting import until

FIRST, SECOND = "The first sentence is here, my friends.", "The second one is a little longer."
FILES = CONFIG | {"stream_audio": False, "response_format": "wav"}


@pytest.fixture
def fakes(vocabulary: Vocabulary, tmp_path: Path) -> Fakes:
    return Fakes(vocabulary, tmp_path, config=EngineConfig(sentences_ahead=1))


@pytest.fixture
def server(fakes: Fakes, serve: Serve) -> Server:
    return started(serve(fakes.app))


async def test_a_character_may_come_in_two_texts(server: Server) -> None:
    async with session(server) as client:
        await send(client, *texts(["One 😀 is here. Two \ud83d", "\ude00 are. \ude00 None\ud83d", " ends\ud83d"]), DONE)
        heard = await receive(client)
    assert heard.done["text"] == "One 😀 is here. Two 😀 are. \ufffd None\ufffd ends"
    assert not heard.of("error")


@pytest.mark.parametrize("half", ["\ud83d", "x\ude00"[1:]])
async def test_half_a_character_says_nothing_and_the_session_goes_on(server: Server, half: str) -> None:
    async with session(server, CONFIG | {"timestamps": True}) as client:
        await send(client, *texts([half]), FLUSH, DONE)
        assert (await receive(client)).of("audio.start") == []
        await send(client, {"type": half})
        await receive(client, "error")
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).done["total_sentences"] == 3


async def test_a_long_name_is_quoted_in_part(server: Server) -> None:
    async with session(server, CONFIG | {"x" * 100_000: 1}) as client:
        error = (await receive(client, "error")).done
    assert len(error["message"]) <= 1000
    assert len(error["error"]["param"]) <= 100


async def test_the_format_may_be_in_capitals_as_over_http(server: Server) -> None:
    async with session(server, CONFIG | {"response_format": "MP3"}) as client:
        await send(client, *texts([TEXT]), DONE)
        assert (await receive(client)).of("audio.start")[0]["format"] == "mp3"


async def test_markup_without_effect_is_named(server: Server) -> None:
    async with session(server, CONFIG | {"input_format": "ssml"}) as client:
        await send(client, *texts(["<speak><emphasis>Hello</emphasis> there.</speak>"]), DONE)
        [warning] = (await receive(client)).of("speech.audio.warning")
    assert warning["ignored_elements"] == ["emphasis"]


@pytest.mark.parametrize("splitting", [{}, {"split_granularity": "none"}])
async def test_a_file_that_was_not_sent_does_not_count(fakes: Fakes, server: Server, splitting: dict[str, Any]) -> None:
    sent = 0 if splitting else 1
    async with session(server, FILES | splitting | {"max_tokens": 200}) as client:
        fakes.language_model.pause_after = None if sent else 100
        await send(client, *texts([f"{FIRST} "]), FLUSH)
        if sent:
            await receive(client, "audio.done")
        fakes.language_model.pause_after = 100
        await send(client, *texts([SECOND]), *([FLUSH] if sent else [DONE]))
        await until(lambda: fakes.language_model.running == 1)
        if sent:
            await receive(client, "audio.start")
        await send(client, CANCEL)
        heard = await receive(client)
    assert heard.audio == []
    assert heard.done["cancelled"] is True
    assert heard.done["text"].strip() == (FIRST if sent else "")
    assert heard.done["seconds"] == (pytest.approx(200 / 50, abs=0.1) if sent else 0)


async def test_a_turn_that_fails_says_what_was_sent(fakes: Fakes, server: Server) -> None:
    async with session(server, FILES | {"flush_after_seconds": 600}) as client:
        await send(client, *texts([f"{FIRST} "]), FLUSH)
        await receive(client, "audio.done")
        fakes.codec.fail = True
        await send(client, *texts([SECOND]), DONE)
        heard = await receive(client)
        fakes.codec.fail = False
    assert heard.of("error")[0]["error"]["type"] == "server_error"
    assert heard.done["text"].strip() == FIRST
    assert heard.done["seconds"] == pytest.approx(0.2)


@pytest.mark.parametrize("speed", [0.5, 1, 2])
async def test_the_text_that_was_said_goes_by_the_speed(fakes: Fakes, server: Server, speed: float) -> None:
    fakes.language_model.pause_after = 150
    async with session(server, CONFIG | {"max_tokens": 1000, "speed": speed}) as client:
        await send(client, *texts([" ".join(["word"] * 60)]), DONE)
        await receive(client, "audio.start")
        sent = 0
        while sent < 0.5 * 2 * 24_000:
            sent += len(await client.recv())
        await send(client, CANCEL)
        done = (await receive(client, units=[b""])).done
    assert speech_weight(done["text"]) == pytest.approx(speed * done["seconds"], abs=0.2)


async def test_the_characters_of_a_turn_that_waits_are_counted_once(
    serve: Serve, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    fakes = Fakes(vocabulary, tmp_path, patient(characters_per_minute=4096))
    server = started(serve(fakes.app))
    fakes.language_model.pause_after = 5
    parts = ["word " * 200] * 3  # 3000 characters
    async with session(server) as client:
        await send(client, *texts([FIRST]), DONE)
        await until(lambda: fakes.language_model.running == 1)
        await send(client, *texts(parts), FLUSH)
        await send(client, {"type": "input.text"})  # its error says that the parts were read
        await receive(client, "error")
        set_event(fakes, fakes.language_model.resume)
        await send(client, DONE)
        assert not (await receive(client)).of("error")
        assert not (await receive(client)).of("error")
        await send(client, *texts(parts), DONE)
        [error] = (await receive(client)).of("error")
    assert error["error"]["code"] == "rate_limit_exceeded"
