"""Consents: recordings in which speakers agree to the use of their voices."""

from __future__ import annotations

import asyncio
import time

from engine.errors import UnknownConsent
from engine.types import Caller, Consent
from engine.voices.consent_store import ConsentStore
from engine.voices.naming import Page, check_cursor, check_language, clean_name, is_plain, new_id
from engine.voices.samples import SampleReader

PREFIX = "cons_"


class ConsentLibrary:
    """Saves and finds consents. A caller sees only its own; None is the operator, who sees all."""

    def __init__(self, reader: SampleReader, store: ConsentStore) -> None:
        self._reader = reader
        self._store = store

    async def add(self, name: str, recording: bytes, language: str, caller: Caller = "") -> Consent:
        """Save a recording; raises InvalidRequest if it has no speech or `language` is not a BCP 47 tag."""
        name = clean_name(name)
        check_language(language)
        heard = await self._reader.read(recording, "recording")
        consent = Consent(new_id(PREFIX), name, language, int(time.time()))
        await asyncio.to_thread(self._store.add, consent, caller or "", heard.sample.recording)
        return consent

    async def list(self, caller: Caller = "", after: str | None = None, limit: int = 100) -> Page[Consent]:
        """Consents after the id `after`, oldest first."""
        if after is not None:
            check_cursor(after, PREFIX)
        return Page.of(await asyncio.to_thread(self._store.page, caller, after, limit + 1), limit)

    async def get(self, consent_id: str, caller: Caller = "") -> Consent:
        """The consent with this id; raises UnknownConsent."""
        return await asyncio.to_thread(self._store.get, _checked(consent_id), caller)

    async def rename(self, consent_id: str, name: str, caller: Caller = "") -> Consent:
        """Rename a consent; raises UnknownConsent."""
        return await asyncio.to_thread(self._store.rename, _checked(consent_id), caller, clean_name(name))

    async def delete(self, consent_id: str, caller: Caller = "") -> None:
        """Withdraw a consent. Its voices then have none. Raises UnknownConsent."""
        await asyncio.to_thread(self._store.delete, _checked(consent_id), caller)


def _checked(consent_id: str) -> str:
    if not is_plain(consent_id):
        raise UnknownConsent(consent_id)
    return consent_id
