"""What a Retry-After says."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(text: str, now: datetime) -> float:
    """Return the seconds of a Retry-After (RFC 9110, 10.2.3); 0 for one that can't be read."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year of eleven digits is the latter
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)
