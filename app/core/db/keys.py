"""Queries on API keys. A key is shown once, when it is made; only its hash is kept."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from app.core.db.tables import ApiKeyRow, now

SCOPES = ("answer", "search", "feedback", "documents", "ingest", "prompts", "releases", "usage", "evals", "admin")

_ANY = select(ApiKeyRow.id).limit(1)
"""Asked with each request that brings no key."""


def create(
    session: Session,
    *,
    tenant: str,
    name: str = "",
    scopes: Sequence[str],
    principals: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> tuple[ApiKeyRow, str]:
    """Make a key; return its row and the secret, which is nowhere else."""
    secret = "cw_" + secrets.token_urlsafe(32)
    row = ApiKeyRow(
        id="key_" + secrets.token_hex(8),
        tenant=tenant,
        name=name,
        hash=hash_of(secret),
        principals=list(principals),
        scopes=list(scopes),
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, secret


def hash_of(secret: str) -> str:
    """Return what is stored of a key. It has 256 random bits, so a plain hash can't be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find(session: Session, secret: str) -> ApiKeyRow | None:
    """Return the key's row if it is valid now; None for unknown, expired and revoked alike."""
    row = session.exec(select(ApiKeyRow).where(col(ApiKeyRow.hash) == hash_of(secret))).first()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now()):
        return None
    return row


def any_ever(session: Session) -> bool:
    """Whether a key was ever made, revoked ones included: revoking the last one opens nothing again."""
    return session.connection().execute(_ANY).first() is not None


def listed(session: Session) -> list[ApiKeyRow]:
    """Return all keys, oldest first."""
    return list(session.exec(select(ApiKeyRow).order_by(col(ApiKeyRow.created_at))))


def revoke(session: Session, key_id: str) -> ApiKeyRow | None:
    """Revoke a key at once; None when there is no such key."""
    row = session.get(ApiKeyRow, key_id)
    if row is not None and row.revoked_at is None:
        row.revoked_at = now()
        session.add(row)
    return row
