"""Voices by name: the built-in ones, made up by the model at first use, and those that users made."""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from engine.codec.worker import CodecWorker
from engine.config import EngineConfig
from engine.errors import ConsentRequired, InvalidRequest, NotOwner, UnknownConsent, UnknownVoice, VoiceExists
from engine.text import speech_weight
from engine.types import (
    TOKENS_PER_SECOND,
    Caller,
    Gender,
    Level,
    Recording,
    Sample,
    TokenPair,
    Voice,
    VoiceAttributes,
    VoiceTokens,
)
from engine.voices.catalogue import BUILT_IN, built_in_voices
from engine.voices.consent_store import ConsentStore
from engine.voices.maker import VoiceMaker, pair
from engine.voices.naming import Page, check_cursor, clean_name, is_plain, new_id
from engine.voices.samples import SampleReader
from engine.voices.store import VoiceStore

Result = TypeVar("Result")

PREFIX = "voice_"
UNLIKELY = 2.5  # times longer or shorter than a transcript takes to say: it is of something else


class VoiceLibrary:
    """Finds, makes, keeps and forgets voices.

    `model` names the weights: tokens are kept with it, and made anew, once, for other weights. Who may do what is
    said in `VoiceStore`.
    """

    def __init__(
        self,
        config: EngineConfig,
        model: str,
        maker: VoiceMaker,
        codec: CodecWorker,
        reader: SampleReader,
        store: VoiceStore,
        consents: ConsentStore,
    ) -> None:
        self._require_consent = config.require_consent
        self._model = model
        self._maker = maker
        self._codec = codec
        self._reader = reader
        self._store = store
        self._consents = consents
        self._being_made: dict[Hashable, asyncio.Task[Any]] = {}

    async def tokens(
        self, voice: str, caller: Caller = "", gender: Gender | None = None, pitch: Level | None = None
    ) -> VoiceTokens:
        """The tokens of a voice by name, in any case if there is none in this one, or by id.

        Raises UnknownVoice, ConsentRequired, or InvalidRequest if it cannot be changed so.
        """
        if attributes := BUILT_IN.get(voice):
            return await self._created(_changed(attributes, gender, pitch))
        found, kept = await asyncio.to_thread(self._look_up, voice, caller)
        if attributes := found.attributes:
            if (changed := _changed(attributes, gender, pitch)) != attributes or found.built_in:
                return await self._created(changed)
            return self._maker.created(attributes, kept or await self._created_tokens(found.id, attributes))
        if gender or pitch:
            param = "gender" if gender else "pitch"
            raise InvalidRequest(f"{param} does not change {found.name!r}, which was made from a sample.", param)
        if self._require_consent and not found.consent:
            raise ConsentRequired(found.name)
        return self._maker.clone(kept or await self._heard(found.id), found.transcript)

    async def add(
        self,
        name: str,
        sample: bytes,
        transcript: str | None = None,
        *,
        consent: str | None = None,
        caller: Caller = "",
        private: bool = False,
    ) -> Voice:
        """Make a voice from an audio file; raises InvalidRequest, VoiceExists or UnknownConsent."""
        voice = _new(name, caller, private)
        voice = await asyncio.to_thread(self._with_consent, voice, consent)
        heard = await self._reader.read(sample)
        tokens = await self._codec.encode(heard.samples)
        warnings = voice.warnings + heard.warnings
        if transcript := (transcript or "").strip():
            warnings += self._check_transcript(transcript, tokens, heard.sample)
        voice = replace(voice, transcript=transcript or None, warnings=warnings)
        await asyncio.to_thread(self._store.add, voice, heard.sample, {self._model: tokens})
        return voice

    async def create(
        self, name: str, attributes: VoiceAttributes, *, caller: Caller = "", private: bool = False
    ) -> Voice:
        """Let the model make up a voice, and keep it; raises InvalidRequest or VoiceExists."""
        voice = replace(_new(name, caller, private), attributes=attributes)
        await asyncio.to_thread(self._check_free, voice)
        made = pair(await self._created(attributes))
        await asyncio.to_thread(self._store.add, voice, None, {self._model: made})
        return voice

    async def list(self, caller: Caller = "", after: str | None = None, limit: int = 100) -> Page[Voice]:
        """Voices that the caller sees, behind the id `after`: the built-in ones first, then the oldest."""
        built_in = built_in_voices()
        if after in BUILT_IN:
            built_in = built_in[list(BUILT_IN).index(after) + 1 :]
            after = None
        elif after is not None:
            built_in = []
            check_cursor(after, PREFIX)
        made = await asyncio.to_thread(self._store.page, caller, after, limit + 1)
        return Page.of(built_in + made, limit)

    async def get(self, voice_id: str, caller: Caller = "") -> Voice:
        """The voice of this id; raises UnknownVoice."""
        if attributes := BUILT_IN.get(voice_id):
            return Voice(voice_id, voice_id, 0, attributes, built_in=True)
        return await asyncio.to_thread(self._store.get, _checked(voice_id), caller)

    async def sample(self, voice_id: str, caller: Caller = "") -> Recording:
        """The sample of a voice, as it was uploaded, for its owner; raises UnknownVoice, NotOwner or InvalidRequest."""
        voice = await self.get(voice_id, caller)
        if voice.attributes:
            raise InvalidRequest(f"{voice.name!r} was not made from a sample.", "voice_id")
        if caller not in (None, voice.owner):
            raise NotOwner(voice.name)
        return (await asyncio.to_thread(self._store.sample, voice.id)).recording

    async def change(
        self, voice_id: str, caller: Caller = "", *, name: str | None = None, transcript: str | None = None
    ) -> Voice:
        """Give a voice another name or transcript; an empty transcript removes it.

        Raises UnknownVoice, NotOwner, VoiceExists or InvalidRequest.
        """
        voice = await self.get(voice_id, caller)
        _refuse_built_in(voice_id, "changed")
        name = name if name is None else free_name(name)
        warnings: tuple[str, ...] = ()
        if transcript is not None and (transcript := transcript.strip()):
            if voice.attributes:
                raise InvalidRequest(f"{voice.name!r} was not made from a sample.", "transcript")
            sample = await asyncio.to_thread(self._store.sample, voice_id)
            warnings = self._check_transcript(transcript, await self._heard(voice_id), sample)
        changed = await asyncio.to_thread(self._store.change, voice_id, caller, name, transcript)
        return replace(changed, warnings=warnings)

    async def delete(self, voice_id: str, caller: Caller = "") -> None:
        """Forget a voice; raises UnknownVoice, NotOwner, or InvalidRequest for a built-in one."""
        _refuse_built_in(voice_id, "deleted")
        await asyncio.to_thread(self._store.delete, _checked(voice_id), caller)

    async def close(self) -> None:
        """Stop making voices."""
        tasks = list(self._being_made.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _with_consent(self, voice: Voice, consent: str | None) -> Voice:
        """The voice with its consent, before anything costly is done; whether it may be made at all."""
        self._check_free(voice)
        if not consent and self._require_consent:
            raise InvalidRequest(
                "This server requires a consent: upload a recording to POST /v1/audio/voice_consents, and send its id.",
                "consent",
            )
        if not consent:
            return voice
        try:
            self._consents.get(consent, voice.owner)
        except UnknownConsent as error:
            if self._require_consent:
                raise
            return replace(voice, warnings=(f"It was made without a consent: {error}",))
        return replace(voice, consent=consent)

    def _check_free(self, voice: Voice) -> None:
        if self._store.is_taken(voice.namespace, voice.name):
            raise VoiceExists(voice.name)

    def _check_transcript(self, transcript: str, tokens: TokenPair, sample: Sample) -> tuple[str, ...]:
        """What is odd about a transcript; raises InvalidRequest if it cannot be used."""
        if "\0" in transcript:
            raise InvalidRequest("The transcript has control characters in it.", "transcript")
        if sample.cut:
            raise InvalidRequest(
                "The sample is too long to be used whole, so a transcript would not fit it: send a shorter sample.",
                "transcript",
            )
        self._maker.check_transcript(tokens, transcript)
        spoken, said = len(tokens[1]) / TOKENS_PER_SECOND, speech_weight(transcript)
        if not 1 / UNLIKELY < said / spoken < UNLIKELY:
            return (f"The transcript would take about {said:.0f} s to say, but the sample has {spoken:.0f} s.",)
        return ()

    def _look_up(self, voice: str, caller: Caller) -> tuple[Voice, TokenPair | None]:
        found = self._find(_checked(voice), caller)
        return found, self._store.tokens(found.id, self._model)

    def _find(self, voice: str, caller: Caller) -> Voice:
        try:
            return self._store.find(voice, caller)
        except UnknownVoice:
            if attributes := BUILT_IN.get(name := voice.lower()):
                return Voice(name, name, 0, attributes, built_in=True)
            return self._store.find_in_any_case(voice, caller)

    async def _heard(self, voice_id: str) -> TokenPair:
        """What this model hears in a voice's sample. If it was made with another one, it listens now, and once."""

        async def listen() -> TokenPair:
            sample = await asyncio.to_thread(self._store.sample, voice_id)
            heard = await self._reader.read(sample.recording.data)
            tokens = await self._codec.encode(heard.samples)
            return await asyncio.to_thread(self._store.save_tokens, voice_id, self._model, tokens)

        if kept := await asyncio.to_thread(self._store.tokens, voice_id, self._model):
            return kept
        return await self._once(voice_id, listen)

    async def _created_tokens(self, voice_id: str, attributes: VoiceAttributes) -> TokenPair:
        """What this model makes of a voice that was made up with another one."""
        made = pair(await self._created(attributes))
        return await asyncio.to_thread(self._store.save_tokens, voice_id, self._model, made)

    async def _created(self, attributes: VoiceAttributes) -> VoiceTokens:
        """The tokens of a made-up voice, made when they are first needed."""

        async def create() -> VoiceTokens:
            tokens = await self._maker.create(attributes)
            return await asyncio.to_thread(self._store.save_created, self._model, tokens)

        if kept := await asyncio.to_thread(self._store.created_tokens, self._model, attributes):
            return kept
        return await self._once(attributes, create)

    async def _once(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """What `make` returns. Whoever asks while it is being made waits for the same one."""
        task = self._being_made.get(key)
        if task is None:
            task = self._being_made[key] = asyncio.create_task(make())
            task.add_done_callback(lambda _: self._being_made.pop(key))
        result: Result = await asyncio.shield(task)  # a caller that goes away takes it from no one else
        return result


def _new(name: str, caller: Caller, private: bool) -> Voice:
    if private and not caller:
        raise InvalidRequest("Only a request with an API key can make a private voice; share it instead.", "scope")
    return Voice(new_id(PREFIX), free_name(name), int(time.time()), owner=caller or "", private=private)


def free_name(name: str) -> str:
    """The name as it is kept, if no built-in voice has it; raises InvalidRequest or VoiceExists."""
    name = clean_name(name)
    if name.lower() in BUILT_IN:
        raise VoiceExists(name)
    return name


def _changed(attributes: VoiceAttributes, gender: Gender | None, pitch: Level | None) -> VoiceAttributes:
    return replace(attributes, gender=gender or attributes.gender, pitch=pitch or attributes.pitch)


def _checked(voice: str) -> str:
    """A name or an id, as the store would have it; what cannot be one is unknown."""
    if not is_plain(voice):
        raise UnknownVoice(voice)
    return unicodedata.normalize("NFC", voice)


def _refuse_built_in(voice_id: str, what: str) -> None:
    if voice_id in BUILT_IN:
        raise InvalidRequest(f"{voice_id!r} is a built-in voice and cannot be {what}.", "voice_id")
