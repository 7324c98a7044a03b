"""The answer to an idempotent request: made once, kept, and given again to every repeat."""

import msgspec


class CommandResponse(msgspec.Struct, frozen=True):
    """Status and JSON body; `replayed` if an earlier request made it."""

    status: int
    body: bytes
    replayed: bool = False
