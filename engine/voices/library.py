"""Voices by name: the built-in voices, which the model creates at first use, and the voices that users made."""

from __future__ import annotations

import asyncio
import logging
import time
import unicodedata
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from engine.codec.worker import CodecWorker
from engine.config import EngineConfig
from engine.errors import (
    ConsentRequired,
    InvalidRequest,
    NotOwner,
    StoreFailed,
    UnknownConsent,
    UnknownVoice,
    VoiceExists,
)
from engine.types import (
    Caller,
    ClonedVoiceTokens,
    CreatedVoiceTokens,
    Gender,
    Level,
    Recording,
    Voice,
    VoiceAttributes,
    VoiceTokens,
)
from engine.voices.catalogue import BUILT_IN, built_in_voices, free_name
from engine.voices.consent_store import ConsentStore
from engine.voices.maker import VoiceMaker
from engine.voices.naming import Page, check_cursor, is_plain, new_id
from engine.voices.samples import SampleReader
from engine.voices.store import VoiceStore

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

PREFIX = "voice_"


class VoiceLibrary:
    """Finds, makes, changes and deletes voices.

    `model` identifies the weights. Tokens are saved for each model, and made once for each. `VoiceStore` says which
    caller may do what.
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
        """The tokens of the voice with this name, in any case if no name is exactly the same, or with this id.

        `gender` and `pitch` change a created voice. Raises UnknownVoice, ConsentRequired, or InvalidRequest if the
        voice was made from a sample and cannot change.
        """
        if attributes := BUILT_IN.get(voice):
            return await self._created(_changed(attributes, gender, pitch))
        found, saved = await asyncio.to_thread(self._look_up, voice, caller)
        if attributes := found.attributes:
            if (changed := _changed(attributes, gender, pitch)) != attributes or found.built_in:
                return await self._created(changed)
        elif gender or pitch:
            param = "gender" if gender else "pitch"
            raise InvalidRequest(f"{param} does not change {found.name!r}, which was made from a sample.", param)
        elif self._require_consent and not found.consent:
            raise ConsentRequired(found.name)
        return self._maker.with_transcript(saved or await self._make(found), found.transcript)

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
        tokens = ClonedVoiceTokens(*await self._codec.encode(heard.samples))
        warnings = voice.warnings + heard.warnings
        if transcript := (transcript or "").strip():
            warnings += self._maker.check_transcript(tokens, transcript, heard.sample)
        voice = replace(voice, transcript=transcript or None, warnings=warnings)
        await asyncio.to_thread(self._store.add, voice, heard.sample, {self._model: tokens})
        return voice

    async def create(
        self, name: str, attributes: VoiceAttributes, *, caller: Caller = "", private: bool = False
    ) -> Voice:
        """Create a voice from attributes; raises InvalidRequest or VoiceExists."""
        voice = replace(_new(name, caller, private), attributes=attributes)
        await asyncio.to_thread(self._check_free, voice)
        tokens = await self._created(attributes)
        await asyncio.to_thread(self._store.add, voice, None, {self._model: tokens})
        return voice

    async def list(self, caller: Caller = "", after: str | None = None, limit: int = 100) -> Page[Voice]:
        """Voices that the caller sees, starting after the id `after`: built-in ones first, then oldest first."""
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
        """The voice with this id; raises UnknownVoice."""
        if attributes := BUILT_IN.get(voice_id):
            return Voice(voice_id, voice_id, 0, attributes, built_in=True)
        return await asyncio.to_thread(self._store.get, _checked(voice_id), caller)

    async def sample(self, voice_id: str, caller: Caller = "") -> Recording:
        """The uploaded sample of a voice, for its owner; raises UnknownVoice, NotOwner or InvalidRequest."""
        voice = await self.get(voice_id, caller)
        if voice.attributes:
            raise InvalidRequest(f"{voice.name!r} was not made from a sample.", "voice_id")
        if caller not in (None, voice.owner):
            raise NotOwner(voice.name)
        return (await asyncio.to_thread(self._store.sample, voice.id)).recording

    async def change(
        self, voice_id: str, caller: Caller = "", *, name: str | None = None, transcript: str | None = None
    ) -> Voice:
        """Change the name or the transcript of a voice; an empty transcript removes it.

        Raises UnknownVoice, NotOwner, VoiceExists or InvalidRequest.
        """
        voice = await self.get(voice_id, caller)
        _refuse_built_in(voice_id, "changed")
        name = name if name is None else free_name(name)
        warnings: tuple[str, ...] = ()
        if transcript is not None and (transcript := transcript.strip()):
            tokens = await asyncio.to_thread(self._store.tokens, voice, self._model) or await self._make(voice)
            if not isinstance(tokens, ClonedVoiceTokens):
                raise InvalidRequest(f"{voice.name!r} was not made from a sample.", "transcript")
            sample = await asyncio.to_thread(self._store.sample, voice_id)
            warnings = self._maker.check_transcript(tokens, transcript, sample)
        changed = await asyncio.to_thread(self._store.change, voice_id, caller, name, transcript)
        return replace(changed, warnings=warnings)

    async def delete(self, voice_id: str, caller: Caller = "") -> None:
        """Delete a voice; raises UnknownVoice, NotOwner, or InvalidRequest for a built-in voice."""
        _refuse_built_in(voice_id, "deleted")
        await asyncio.to_thread(self._store.delete, _checked(voice_id), caller)

    async def close(self) -> None:
        """Stop making voices."""
        tasks = list(self._being_made.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _with_consent(self, voice: Voice, consent: str | None) -> Voice:
        """The voice with its consent, checked before the costly work; raises an error if it may not be made."""
        self._check_free(voice)
        if not consent and self._require_consent:
            raise InvalidRequest(
                "A voice made from a sample requires a consent here: send the id of a consent recording.", "consent"
            )
        if not consent:
            return voice
        try:
            self._consents.get(consent, voice.owner)
        except UnknownConsent as error:
            if self._require_consent:
                raise
            return replace(voice, warnings=(f"The voice was made without a consent: {error}",))
        return replace(voice, consent=consent)

    def _check_free(self, voice: Voice) -> None:
        if self._store.is_taken(voice.namespace, voice.name):
            raise VoiceExists(voice.name)

    def _look_up(self, voice: str, caller: Caller) -> tuple[Voice, VoiceTokens | None]:
        found = self._find(_checked(voice), caller)
        return found, self._store.tokens(found, self._model)

    def _find(self, voice: str, caller: Caller) -> Voice:
        try:
            return self._store.find(voice, caller)
        except UnknownVoice:
            if attributes := BUILT_IN.get(name := voice.lower()):
                return Voice(name, name, 0, attributes, built_in=True)
            return self._store.find_in_any_case(voice, caller)

    async def _make(self, voice: Voice) -> VoiceTokens:
        """Make and save this model's tokens of a voice that was made with another model."""

        async def make() -> VoiceTokens:
            tokens: VoiceTokens
            if voice.attributes:
                tokens = await self._created(voice.attributes)
            else:
                sample = await asyncio.to_thread(self._store.sample, voice.id)
                try:
                    heard = await self._reader.read(sample.recording.data)
                except InvalidRequest as error:  # the request that needs the tokens is not at fault
                    raise StoreFailed(f"The saved sample of {voice.name!r} cannot be used. {error}") from error
                tokens = ClonedVoiceTokens(*await self._codec.encode(heard.samples))
            return await _saved(tokens, partial(self._store.save_tokens, voice, self._model, tokens))

        return await self._once(voice.id, make)

    async def _created(self, attributes: VoiceAttributes) -> CreatedVoiceTokens:
        """The tokens of a created voice, made at first use."""

        async def create() -> CreatedVoiceTokens:
            tokens = await self._maker.create(attributes)
            return await _saved(tokens, partial(self._store.save_created_tokens, self._model, tokens))

        if saved := await asyncio.to_thread(self._store.created_tokens, self._model, attributes):
            return saved
        return await self._once(attributes, create)

    async def _once(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of `make`. Callers that ask for the same key at the same time share one result."""
        task = self._being_made.get(key)
        if task is None:
            task = self._being_made[key] = asyncio.create_task(make())

            def forget(done: asyncio.Task[Any]) -> None:
                del self._being_made[key]
                if not done.cancelled():
                    done.exception()  # asyncio logs it with its stack if nobody asks, and all callers may have gone

            task.add_done_callback(forget)
        result: Result = await asyncio.shield(task)  # one caller's cancellation does not stop it for the others
        return result


async def _saved(tokens: Result, save: Callable[[], Result]) -> Result:
    """What `save` returns; `tokens` if they cannot be saved, as on a full disk: the next request makes them again."""
    try:
        return await asyncio.to_thread(save)
    except StoreFailed as error:
        logger.warning("The tokens of a voice are not saved: %s", error)
        return tokens


def check_scope(caller: Caller, private: bool) -> None:
    """Raise InvalidRequest if this caller cannot have a private voice."""
    if private and not caller:
        raise InvalidRequest("Only a request with an API key can make a private voice. Use scope shared.", "scope")


def _new(name: str, caller: Caller, private: bool) -> Voice:
    check_scope(caller, private)
    return Voice(new_id(PREFIX), free_name(name), int(time.time()), owner=caller or "", private=private)


def _changed(attributes: VoiceAttributes, gender: Gender | None, pitch: Level | None) -> VoiceAttributes:
    return replace(attributes, gender=gender or attributes.gender, pitch=pitch or attributes.pitch)


def _checked(voice: str) -> str:
    """The name or id in the form that is saved; raises UnknownVoice if it cannot be one."""
    if not is_plain(voice):
        raise UnknownVoice(voice)
    return unicodedata.normalize("NFC", voice)


def _refuse_built_in(voice_id: str, what: str) -> None:
    if voice_id in BUILT_IN:
        raise InvalidRequest(f"{voice_id!r} is a built-in voice and cannot be {what}.", "voice_id")
