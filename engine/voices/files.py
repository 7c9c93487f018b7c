"""Exports a caller's voices to files, and imports them."""

from __future__ import annotations

import asyncio
from functools import partial

from engine.config import EngineConfig
from engine.errors import InvalidRequest, NotOwner
from engine.types import Caller, Voice
from engine.voices.archive import export_voice, import_voice
from engine.voices.catalogue import check_scope
from engine.voices.library import VoiceLibrary
from engine.voices.store import VoiceStore


class VoiceFiles:
    """The files of voices, see `engine.voices.archive`. A caller exports only its own voices."""

    def __init__(self, config: EngineConfig, library: VoiceLibrary, store: VoiceStore) -> None:
        self._config = config
        self._library = library
        self._store = store

    async def export(self, voice_id: str, caller: Caller = "") -> bytes:
        """The file of a voice; raises UnknownVoice, NotOwner, or InvalidRequest for a built-in voice."""
        voice = await self._library.get(voice_id, caller)
        if voice.built_in:
            raise InvalidRequest(f"{voice_id!r} is a built-in voice. Every server has it.", "voice_id")
        if caller not in (None, voice.owner):
            raise NotOwner(voice.name)
        return await asyncio.to_thread(export_voice, self._store, voice)

    async def add(
        self,
        data: bytes,
        name: str | None = None,
        *,
        consent: str | None = None,
        caller: Caller = "",
        private: bool = False,
    ) -> Voice:
        """Save an exported voice as the caller's; raises InvalidRequest, VoiceExists or UnknownConsent."""
        check_scope(caller, private)
        adding = partial(import_voice, self._store, data, self._config, name, consent)
        return await asyncio.to_thread(adding, owner=caller or "", private=private)
