"""Voices by name: the built-in voices, which the model creates at first use, and the voices that users made."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import replace

from engine.codec.worker import CodecWorker
from engine.config import EngineConfig
from engine.errors import (
    ConsentRequired,
    InvalidRequest,
    NotOwner,
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
from engine.voices.catalogue import BUILT_IN, PREFIX, VOICE_TEXT, built_in_voices, free_name, new_voice
from engine.voices.consent_store import ConsentStore
from engine.voices.made_tokens import MadeTokens
from engine.voices.maker import VoiceMaker
from engine.voices.naming import Page, check_cursor, check_language, is_plain
from engine.voices.samples import SampleReader
from engine.voices.store import GIVEN, VoiceStore


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
        self._made = MadeTokens(model, maker, codec, reader, store)
        self._store = store
        self._consents = consents

    async def tokens(
        self,
        voice: str,
        caller: Caller = "",
        gender: Gender | None = None,
        pitch: Level | None = None,
        rate: Level | None = None,
        *,
        text: str = VOICE_TEXT,
    ) -> VoiceTokens:
        """The tokens of the voice with this name, in any case if no name is exactly the same, or with this id.

        `gender`, `pitch` and `rate` change a created voice; a cloned voice, and any voice of a self-voiced model, takes
        `pitch` and `rate`. A self-voiced model makes a voice that has no tokens yet for the beginning of `text`.
        Raises UnknownVoice, ConsentRequired, or InvalidRequest if the voice cannot change.
        """
        found, saved = await self._look_up(voice, caller)
        if gender and (self.self_voiced or not found.attributes):
            raise InvalidRequest(
                f"gender does not change {found.name!r}, which was not made from attributes.", "gender"
            )
        if not found.attributes and self._require_consent and not found.consent:
            raise ConsentRequired(found.name)
        prefix = self._prefix(found)
        if found.attributes and not self.self_voiced:
            changed = _changed(found.attributes, gender, pitch, rate)
            if changed != found.attributes or found.built_in:
                return replace(await self._made.created(changed), text_prefix=prefix, language=found.language)
        tokens = saved or await self._made.of(found, text, prefix)
        if isinstance(tokens, CreatedVoiceTokens):
            if not self.self_voiced:
                return replace(tokens, text_prefix=prefix, language=found.language)
            tokens = ClonedVoiceTokens(tokens.global_tokens)
        tokens = replace(tokens, pitch=pitch, rate=rate, text_prefix=prefix, language=found.language)
        return self._maker.with_transcript(tokens, found.transcript)

    async def add(
        self,
        name: str,
        sample: bytes,
        transcript: str | None = None,
        *,
        consent: str | None = None,
        caller: Caller = "",
        private: bool = False,
        text_prefix: str = "",
        language: str | None = None,
    ) -> Voice:
        """Make a voice from an audio file; raises InvalidRequest, VoiceExists or UnknownConsent."""
        voice = new_voice(name, caller, private, text_prefix, language)
        voice = await asyncio.to_thread(self._with_consent, voice, consent)
        heard, tokens = await self._made.heard(sample)
        warnings = voice.warnings + heard.warnings
        if transcript := (transcript or "").strip():
            warnings += self._maker.check_transcript(tokens, transcript, cut=heard.sample.cut)
        voice = replace(voice, transcript=transcript or None, warnings=warnings)
        await asyncio.to_thread(self._store.add, voice, heard.sample, {self._model: tokens})
        return voice

    async def add_tokens(
        self,
        name: str,
        tokens: ClonedVoiceTokens,
        *,
        consent: str | None = None,
        caller: Caller = "",
        private: bool = False,
        text_prefix: str = "",
        language: str | None = None,
    ) -> Voice:
        """Make a voice from tokens, with their transcript if there is one.

        Raises InvalidRequest, VoiceExists or UnknownConsent.
        """
        voice = replace(new_voice(name, caller, private, text_prefix, language), from_tokens=True)
        voice = await asyncio.to_thread(self._with_consent, voice, consent)
        self._maker.check_given(tokens)
        if transcript := (tokens.transcript or "").strip():
            warnings = voice.warnings + self._maker.check_transcript(tokens, transcript, cut=False)
            voice = replace(voice, transcript=transcript, warnings=warnings)
        await asyncio.to_thread(self._store.add, voice, None, {GIVEN: tokens})
        return voice

    async def create(
        self,
        name: str,
        attributes: VoiceAttributes,
        *,
        caller: Caller = "",
        private: bool = False,
        text_prefix: str = "",
        language: str | None = None,
    ) -> Voice:
        """Create a voice from attributes; raises InvalidRequest or VoiceExists.

        A self-voiced model makes the voice when it first speaks.
        """
        voice = replace(new_voice(name, caller, private, text_prefix, language), attributes=attributes)
        await asyncio.to_thread(self._check_free, voice)
        tokens = {} if self.self_voiced else {self._model: await self._made.created(attributes)}
        await asyncio.to_thread(self._store.add, voice, None, tokens)
        return voice

    @property
    def self_voiced(self) -> bool:
        """Whether the language model makes its own voices, not from attributes."""
        return self._maker.prompts.self_voiced

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
        if voice.attributes or voice.from_tokens:
            raise InvalidRequest(f"{voice.name!r} was not made from a sample.", "voice_id")
        if caller not in (None, voice.owner):
            raise NotOwner(voice.name)
        return (await asyncio.to_thread(self._store.sample, voice.id)).recording

    async def change(
        self,
        voice_id: str,
        caller: Caller = "",
        *,
        name: str | None = None,
        transcript: str | None = None,
        language: str | None = None,
    ) -> Voice:
        """Change the name, the transcript or the language of a voice; an empty transcript or language removes it.

        Raises UnknownVoice, NotOwner, VoiceExists or InvalidRequest.
        """
        voice = await self.get(voice_id, caller)
        _refuse_built_in(voice_id, "changed")
        name = name if name is None else free_name(name)
        if language:
            check_language(language)
        warnings: tuple[str, ...] = ()
        if transcript is not None and (transcript := transcript.strip()):
            tokens = await asyncio.to_thread(self._store.tokens, voice, self._model) or await self._made.of(voice)
            if not isinstance(tokens, ClonedVoiceTokens):
                raise InvalidRequest(f"{voice.name!r} was not made from a sample.", "transcript")
            cut = not voice.from_tokens and (await asyncio.to_thread(self._store.sample, voice_id)).cut
            warnings = self._maker.check_transcript(tokens, transcript, cut=cut)
        changed = await asyncio.to_thread(self._store.change, voice_id, caller, name, transcript, language)
        return replace(changed, warnings=warnings)

    async def delete(self, voice_id: str, caller: Caller = "") -> None:
        """Delete a voice; raises UnknownVoice, NotOwner, or InvalidRequest for a built-in voice."""
        _refuse_built_in(voice_id, "deleted")
        await asyncio.to_thread(self._store.delete, _checked(voice_id), caller)

    async def close(self) -> None:
        """Stop making voices."""
        await self._made.close()

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

    def _prefix(self, voice: Voice) -> str:
        """The speaker's name before the texts of a voice; where all speakers need one, the voice's own by default."""
        always = self._maker.prompts.form == "speaker-prefix" and not voice.built_in
        return voice.text_prefix or (voice.name if always else "")

    async def _look_up(self, voice: str, caller: Caller) -> tuple[Voice, VoiceTokens | None]:
        if attributes := BUILT_IN.get(voice):
            return Voice(voice, voice, 0, attributes, built_in=True), None
        found = await asyncio.to_thread(self._find, _checked(voice), caller)
        return found, None if found.built_in else await asyncio.to_thread(self._store.tokens, found, self._model)

    def _find(self, voice: str, caller: Caller) -> Voice:
        try:
            return self._store.find(voice, caller)
        except UnknownVoice:
            if attributes := BUILT_IN.get(name := voice.lower()):
                return Voice(name, name, 0, attributes, built_in=True)
            return self._store.find_in_any_case(voice, caller)


def _changed(
    attributes: VoiceAttributes, gender: Gender | None, pitch: Level | None, rate: Level | None
) -> VoiceAttributes:
    return replace(
        attributes,
        gender=gender or attributes.gender,
        pitch=pitch or attributes.pitch,
        speed=rate or attributes.speed,
    )


def _checked(voice: str) -> str:
    """The name or id in the form that is saved; raises UnknownVoice if it cannot be one."""
    if not is_plain(voice):
        raise UnknownVoice(voice)
    return unicodedata.normalize("NFC", voice)


def _refuse_built_in(voice_id: str, what: str) -> None:
    if voice_id in BUILT_IN:
        raise InvalidRequest(f"{voice_id!r} is a built-in voice and cannot be {what}.", "voice_id")
