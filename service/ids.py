"""Identifiers that sort by time, so that an index on them grows at its end."""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID


def new_id(at: datetime | None = None) -> UUID:
    """Return a UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds and 74 random bits.

    Give `at` to an id whose time somebody reads (`made_at`, an order of rows): without, it is that
    of this machine, which may be wrong.
    """
    milliseconds = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1_000)
    random = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62
    return UUID(int=value | random & (1 << 62) - 1)


def made_at(identifier: UUID) -> datetime | None:
    """Return when `new_id` made an id, to the millisecond; None for an id of another kind."""
    if identifier.version != 7:  # noqa: PLR2004  RFC 9562
        return None
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
