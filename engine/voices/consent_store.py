"""The consent store: recordings, in the same database as the voices that refer to them."""

from __future__ import annotations

from sqlalchemy import select

from engine.errors import UnknownConsent
from engine.types import Caller, Consent, Recording
from engine.voices.database import Database
from engine.voices.rows import read_consent, read_page, read_row
from engine.voices.store import owned
from engine.voices.tables import ConsentRow


class ConsentStore:
    """Every method is one short transaction and blocks: call it in a thread. A caller sees only its own consents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, consent: Consent, owner: str, recording: Recording) -> None:
        """Save a new consent."""
        row = ConsentRow(
            id=consent.id,
            owner=owner,
            name=consent.name,
            language=consent.language,
            created_at=consent.created_at,
            media_type=recording.media_type,
            recording=recording.data,
        )
        with self._database.writing() as session:
            session.add(row)

    def page(self, caller: Caller, after: str | None, limit: int) -> list[Consent]:
        """At most `limit` consents of this caller, oldest first, starting after the id `after`."""
        query = select(ConsentRow)
        if caller is not None:
            query = query.where(ConsentRow.owner == caller)
        with self._database.reading() as session:
            return read_page(session, ConsentRow, query, after, limit, read_consent)

    def get(self, consent_id: str, caller: Caller) -> Consent:
        """The consent with this id; raises UnknownConsent."""
        with self._database.reading() as session:
            row = owned(session.get(ConsentRow, consent_id), caller, UnknownConsent(consent_id))
        return _read(row)

    def rename(self, consent_id: str, caller: Caller, name: str) -> Consent:
        """Rename a consent; raises UnknownConsent."""
        with self._database.writing() as session:
            row = owned(session.get(ConsentRow, consent_id, with_for_update=True), caller, UnknownConsent(consent_id))
            row.name = name
        return _read(row)

    def delete(self, consent_id: str, caller: Caller) -> None:
        """Withdraw a consent. Its voices then have none. Raises UnknownConsent."""
        with self._database.writing() as session:
            row = session.get(ConsentRow, consent_id, with_for_update=True)
            session.delete(owned(row, caller, UnknownConsent(consent_id)))


def _read(row: ConsentRow) -> Consent:
    """The consent of a row; raises UnknownConsent if the row is damaged."""
    if (consent := read_row(row, read_consent)) is None:
        raise UnknownConsent(row.id)
    return consent
