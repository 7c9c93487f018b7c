"""How fast each voice speaks, measured once per model and kept in the voice store."""

from __future__ import annotations

import hashlib

from sqlalchemy.exc import IntegrityError

from engine.types import VoiceTokens
from engine.voices.database import Database
from engine.voices.rows import pack, prompt_tokens
from engine.voices.tables import VoiceRateRow


def digest(global_tokens: bytes, prompt: bytes) -> str:
    """What a rate is found by: the SHA-256 of a voice's tokens, as the store writes them."""
    return hashlib.sha256(global_tokens + b"/" + prompt).hexdigest()


def digest_of(voice: VoiceTokens) -> str:
    """The digest of a voice's tokens."""
    return digest(pack(voice.global_tokens), pack(prompt_tokens(voice)))


class VoiceRates:
    """Every method is one short transaction and blocks: call it in a thread."""

    def __init__(self, database: Database, model: str) -> None:
        """`model` identifies the weights."""
        self._database = database
        self._model = model

    def get(self, voice: str, script: str) -> float | None:
        """The rate that was saved for the voice with this digest, in a script; None if none was."""
        with self._database.reading() as session:
            row = session.get(VoiceRateRow, (self._model, voice, script))
        return None if row is None else row.rate

    def save(self, voice: str, script: str, rate: float) -> float:
        """Save a rate, or return the one that another process saved before."""
        try:
            with self._database.writing() as session:
                session.add(VoiceRateRow(model=self._model, voice=voice, script=script, rate=rate))
        except IntegrityError:
            return self.get(voice, script) or rate
        return rate
