"""The Library: who may play what. A grant has the caller's id, so a repeat changes nothing."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from simulator.faults import Faults, Target, failing
from simulator.records import Records
from simulator.replies import RefusalError, query, read, reply

PREFIX: Final = "/library/v1"

Text = Annotated[str, Meta(min_length=1, max_length=128)]


class NewGrant(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of PUT /grants/{id}."""

    user_id: Text
    game_id: Text
    quantity: Annotated[int, Meta(ge=1, le=100)]
    order_id: Text


class Grant(msgspec.Struct):
    """A grant; a revoked one is kept, so that a late repeat cannot bring it back.

    `created` is seconds since 1970.
    """

    id: UUID
    user_id: str
    game_id: str
    quantity: int
    order_id: str
    created: int
    revoked: bool = False

    def says(self, wanted: NewGrant) -> bool:
        """Tell whether a request asks for this very grant."""
        mine = (self.user_id, self.game_id, self.quantity, self.order_id)
        return mine == msgspec.structs.astuple(wanted)


class GrantFilter(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /grants: what a user holds, or page by page all grants, newest first."""

    user_id: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: UUID | None = None


class Library:
    """The shelves."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.grants: dict[UUID, Grant] = {}
        self._of_user: dict[str, list[Grant]] = {}

    def put(self, grant_id: UUID, wanted: NewGrant) -> tuple[Grant, bool]:
        """Grant, and tell whether it is new. Raises RefusalError."""
        known = self.grants.get(grant_id)
        if known is None:
            created = int(time.time())
            grant = Grant(id=grant_id, created=created, **msgspec.structs.asdict(wanted))
            self._records.make_room(len(self.grants), "grants")
            self.grants[grant_id] = grant
            self._of_user.setdefault(grant.user_id, []).append(grant)
            self._records.changed()
            return grant, True
        if known.revoked:
            raise RefusalError(409, "grant_revoked", "the grant was revoked")
        if not known.says(wanted):
            raise RefusalError(409, "grant_differs", "this id belongs to another grant")
        return known, False

    def revoke(self, grant_id: UUID) -> Grant:
        """Take a grant back, again if need be. Raises RefusalError."""
        if (grant := self.grants.get(grant_id)) is None:
            raise RefusalError(404, "grant_not_found", f"no grant {grant_id}")
        grant.revoked = True
        self._records.changed()
        return grant

    def of_user(self, user_id: str) -> list[Grant]:
        """Return what the user holds."""
        return [grant for grant in self._of_user.get(user_id, []) if not grant.revoked]

    def page(self, limit: int, starting_after: UUID | None) -> dict[str, Any]:
        """Return a page of all grants, the revoked ones too. Raises RefusalError."""
        found: Iterator[Grant] = reversed(self.grants.values())
        if starting_after is not None and all(g.id != starting_after for g in found):
            raise RefusalError(400, "cursor_unknown", f"no grant {starting_after} in this list")
        page = list(islice(found, limit + 1))
        return {"data": page[:limit], "has_more": len(page) > limit}


def routes(shelves: Library, faults: Faults) -> web.RouteTableDef:
    """Return the Library's URL table."""
    table = web.RouteTableDef()

    @table.put(f"{PREFIX}/grants/{{id}}")
    @failing(faults, Target.GRANT)
    async def put(request: web.Request) -> web.Response:
        grant, created = shelves.put(_id(request), await read(request, NewGrant))
        return reply(grant, 201 if created else 200)

    @table.delete(f"{PREFIX}/grants/{{id}}")
    @failing(faults, Target.REVOKE)
    async def revoke(request: web.Request) -> web.Response:
        return reply(shelves.revoke(_id(request)))

    @table.get(f"{PREFIX}/grants")
    @failing(faults, Target.SHELVES)
    async def grants(request: web.Request) -> web.Response:
        wanted = query(request, GrantFilter)
        if wanted.user_id is not None:
            return reply({"data": shelves.of_user(wanted.user_id)})
        return reply(shelves.page(wanted.limit, wanted.starting_after))

    return table


def _id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise RefusalError(400, "grant_id_invalid", "a grant's id is a UUID") from None
