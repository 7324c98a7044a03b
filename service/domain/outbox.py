"""What the outbox tells others."""

from enum import StrEnum


class Topic(StrEnum):
    """What a message asks of the Library."""

    GRANT = "library.grant"
    REVOKE = "library.revoke"
