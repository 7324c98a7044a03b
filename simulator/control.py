"""The /control URLs: set faults, read the state, wait for events. Loopback only."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Final
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import Meta

from simulator.catalog import Game, Games
from simulator.charges import (
    Ageing,
    Capture,
    Completion,
    DashboardRefund,
    Failure,
)
from simulator.faults import Fault, Faults, Target
from simulator.library import Library
from simulator.provider import SimPay
from simulator.records import Records
from simulator.replies import Handler, RefusalError, query, read, refusal, reply
from simulator.webhooks import Hook, Webhooks

PREFIX: Final = "/control"

Count = Annotated[int, Meta(ge=1, le=100_000)]
Patience = Annotated[float, Meta(ge=0, le=60)]


class Which(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /release; without a target all held requests."""

    target: Target | None = None


class AwaitHeld(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /held: wait until so many requests are held."""

    target: Target | None = None
    count: Annotated[int, Meta(ge=0, le=100_000)] = 1
    timeout_s: Patience = 10.0


class What(StrEnum):
    """What can be counted and waited for."""

    CHARGES = "charges"
    REFUNDS = "refunds"
    GRANTS = "grants"
    REVOKED = "revoked"
    WEBHOOKS = "webhooks"


class AwaitRecords(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /wait: wait until there are so many records."""

    what: What
    count: Count = 1
    timeout_s: Patience = 10.0


class Simulation:
    """Everything that /control can see."""

    def __init__(self, records: Records, hook: Hook) -> None:
        self.records = records
        self.faults = Faults(records)
        self.webhooks = Webhooks(records, self.faults, hook)
        self.provider = SimPay(records, self.webhooks)
        self.library = Library(records)
        self.games = Games()

    def counts(self) -> dict[str, int]:
        """Return how many records there are: valid grants, delivered webhooks."""
        revoked = sum(grant.revoked for grant in self.library.grants.values())
        return {
            What.CHARGES: len(self.provider.charges),
            What.REFUNDS: len(self.provider.refunds),
            What.GRANTS: len(self.library.grants) - revoked,
            What.REVOKED: revoked,
            What.WEBHOOKS: self.webhooks.delivered,
        }

    def reset(self) -> None:
        """Forget all records and faults, and break off held requests."""
        self.faults.active.clear()
        self.faults.drop()
        self.provider.clear()
        self.library.clear()
        self.games.reset()
        self.webhooks.reset()


@web.middleware
async def loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Show /control to this machine alone."""
    if request.path.startswith(PREFIX) and not ip_address(request.remote or "::").is_loopback:
        return refusal(403, "loopback_only", f"{PREFIX} answers only on this machine")
    return await handler(request)


def routes(simulation: Simulation) -> list[web.RouteDef]:
    """Return the control URL table."""
    handlers = Control(simulation)
    return [
        web.get(f"{PREFIX}/faults", handlers.list_faults),
        web.post(f"{PREFIX}/faults", handlers.add_fault),
        web.delete(f"{PREFIX}/faults", handlers.clear_faults),
        web.get(f"{PREFIX}/held", handlers.await_held),
        web.post(f"{PREFIX}/release", handlers.release),
        web.get(f"{PREFIX}/state", handlers.state),
        web.get(f"{PREFIX}/wait", handlers.await_records),
        web.post(f"{PREFIX}/charges/{{id}}/complete", handlers.complete),
        web.post(f"{PREFIX}/charges/{{id}}/capture", handlers.capture),
        web.post(f"{PREFIX}/charges/{{id}}/refund", handlers.refund),
        web.post(f"{PREFIX}/charges/{{id}}/fail", handlers.fail_charge),
        web.post(f"{PREFIX}/refunds/{{id}}/fail", handlers.fail_refund),
        web.post(f"{PREFIX}/charges/{{id}}/age", handlers.age),
        web.get(f"{PREFIX}/webhooks", handlers.webhooks),
        web.post(f"{PREFIX}/webhooks", handlers.send_webhooks),
        web.post(f"{PREFIX}/games", handlers.add_game),
        web.post(f"{PREFIX}/reset", handlers.reset),
    ]


class Control:
    """The handlers of /control."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def list_faults(self, _: web.Request) -> web.Response:
        return reply({"faults": self._simulation.faults.active})

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = await read(request, Fault)
        self._simulation.faults.add(fault)
        return reply(fault, 201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        removed = len(self._simulation.faults.active)
        self._simulation.faults.active.clear()
        return reply({"removed": removed})

    async def await_held(self, request: web.Request) -> web.Response:
        wanted = query(request, AwaitHeld)
        faults = self._simulation.faults
        if not await self._simulation.records.until(
            lambda: len(faults.held(wanted.target)) >= wanted.count, wanted.timeout_s
        ):
            held = len(faults.held(wanted.target))
            raise RefusalError(
                408, "not_in_time", f"{held} of {wanted.count} held after {wanted.timeout_s:g} s"
            )
        return reply({"held": faults.held(wanted.target)})

    async def release(self, request: web.Request) -> web.Response:
        which = await read(request, Which)
        return reply({"released": self._simulation.faults.release(which.target)})

    async def await_records(self, request: web.Request) -> web.Response:
        wanted = query(request, AwaitRecords)
        counts = self._simulation.counts
        if not await self._simulation.records.until(
            lambda: counts()[wanted.what] >= wanted.count, wanted.timeout_s
        ):
            raise RefusalError(
                408,
                "not_in_time",
                f"{counts()[wanted.what]} of {wanted.count} {wanted.what} "
                f"after {wanted.timeout_s:g} s",
            )
        return reply({"counts": counts()})

    async def state(self, _: web.Request) -> web.Response:
        simulation = self._simulation
        return reply(
            {
                "counts": simulation.counts(),
                "charges": list(simulation.provider.charges.values()),
                "refunds": list(simulation.provider.refunds.values()),
                "disputes": list(simulation.provider.disputes.disputes.values()),
                "warnings": list(simulation.provider.disputes.warnings.values()),
                "grants": list(simulation.library.grants.values()),
            }
        )

    async def complete(self, request: web.Request) -> web.Response:
        provider = self._simulation.provider
        charge, end = provider.charge(request.match_info["id"]), await read(request, Completion)
        return reply(provider.complete(charge, end))

    async def capture(self, request: web.Request) -> web.Response:
        """Capture in the provider's dashboard: nobody asked for it through the API."""
        provider = self._simulation.provider
        charge, body = provider.charge(request.match_info["id"]), await read(request, Capture)
        return reply(provider.capture(charge, body.amount))

    async def refund(self, request: web.Request) -> web.Response:
        """Refund in the provider's dashboard; without an amount all that is left."""
        provider = self._simulation.provider
        charge, body = (
            provider.charge(request.match_info["id"]),
            await read(request, DashboardRefund),
        )
        amount = body.amount or charge.amount_captured - charge.amount_refunded
        return reply(provider.refund(charge, amount, body.key or f"dashboard_{uuid4().hex}"), 201)

    async def fail_charge(self, request: web.Request) -> web.Response:
        provider = self._simulation.provider
        charge, why = provider.charge(request.match_info["id"]), await read(request, Failure)
        return reply(provider.fail(charge, why.failure_code))

    async def fail_refund(self, request: web.Request) -> web.Response:
        provider = self._simulation.provider
        refund, why = provider.refund_of(request.match_info["id"]), await read(request, Failure)
        return reply(provider.fail_refund(refund, why.failure_code))

    async def age(self, request: web.Request) -> web.Response:
        provider = self._simulation.provider
        return reply(
            provider.age(provider.charge(request.match_info["id"]), await read(request, Ageing))
        )

    async def webhooks(self, _: web.Request) -> web.Response:
        return reply(self._simulation.webhooks.state())

    async def send_webhooks(self, request: web.Request) -> web.Response:
        self._simulation.webhooks.hook = await read(request, Hook)
        return reply(self._simulation.webhooks.state())

    async def add_game(self, request: web.Request) -> web.Response:
        game = await read(request, Game)
        self._simulation.games.add(game)
        return reply(game, 201)

    async def reset(self, _: web.Request) -> web.Response:
        self._simulation.reset()
        return reply({"counts": self._simulation.counts()})
