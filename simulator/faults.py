"""Scripted faults: what goes wrong, where, and how often.

"before" means before the effect: nothing was charged or granted. "after" means that it was done
and only the answer is lost: the case that makes payments hard.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import wraps
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from simulator.records import Records
from simulator.replies import RefusalError, refusal, reply

MAX_FAULTS: Final = 1_000
MAX_HELD: Final = 10_000
SILENCE_S: Final = 120.0
"""How long a silent request stays open: longer than any client of a payment waits."""

Operation = Callable[[web.Request], Awaitable[web.Response]]
Decorator = Callable[[Operation], Operation]

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: close sends RST


class Target(StrEnum):
    """The operations that can fail."""

    CHARGE = "provider.charge"
    CAPTURE = "provider.capture"
    CANCEL = "provider.cancel"
    REFUND = "provider.refund"
    FIND = "provider.find"
    LIST = "provider.list"
    WEBHOOK = "provider.webhook"
    DISPUTE = "provider.dispute"
    GRANT = "library.grant"
    REVOKE = "library.revoke"
    SHELVES = "library.list"
    GAME = "catalog.get"


class Kind(StrEnum):
    """The ways in which they fail."""

    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    STATUS = "status"
    DELAY = "delay"
    WRONG_AMOUNT = "wrong_amount"
    HOLD_BEFORE = "hold_before"
    HOLD_AFTER = "hold_after"
    MALFORMED = "malformed"
    # of webhooks alone
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DROP = "drop"
    WRONG_SIGNATURE = "wrong_signature"
    BEFORE_ANSWER = "before_answer"


_OF_WEBHOOKS: Final = frozenset(
    {Kind.DUPLICATE, Kind.REORDER, Kind.DROP, Kind.WRONG_SIGNATURE, Kind.BEFORE_ANSWER}
)
_OF_BOTH: Final = frozenset({Kind.DELAY, Kind.HOLD_BEFORE})


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """A fault for the next `times` requests of `target`, or for all of them (None).

    `status` belongs to kind "status", `delay_s` to kind "delay".
    """

    target: Target
    kind: Kind
    times: Annotated[int, Meta(ge=1)] | None = 1
    status: Annotated[int, Meta(ge=400, le=599)] = 500
    delay_s: Annotated[float, Meta(ge=0, le=60)] = 1.0


class Held(msgspec.Struct):
    """A request that waits to be released."""

    target: Target
    kind: Kind
    path: str
    idempotency_key: str
    dropped: bool = False


class Faults:
    """The faults that are set, and the requests that they hold."""

    def __init__(self, records: Records) -> None:
        self.active: list[Fault] = []
        self._records = records
        self._held: dict[asyncio.Event, Held] = {}
        self._closing = asyncio.Event()

    def add(self, fault: Fault) -> None:
        """Set a fault; those set earlier for the same target come first."""
        if not _fits(fault):
            raise RefusalError(400, "fault_misplaced", f"{fault.target} cannot {fault.kind}")
        if len(self.active) >= MAX_FAULTS:
            raise RefusalError(
                429, "too_many_faults", f"{MAX_FAULTS} faults at most; DELETE /control/faults"
            )
        self.active.append(fault)

    def take(self, target: Target) -> Fault | None:
        """Return the fault of this request, and count it."""
        for fault in self.active:
            if fault.target is target:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.active.remove(fault)
                return fault
        return None

    def held(self, target: Target | None = None) -> list[Held]:
        """Return the requests that wait, the oldest first."""
        return [held for held in self._held.values() if target in (None, held.target)]

    def release(self, target: Target | None = None) -> int:
        """Let the held requests go on; return how many."""
        events = [event for event, held in self._held.items() if target in (None, held.target)]
        for event in events:
            event.set()
        return len(events)

    def drop(self) -> None:
        """Break off the held requests: those that had no effect yet never have one."""
        for event, held in self._held.items():
            held.dropped = True
            event.set()

    def close(self) -> None:
        """End every wait: the server stops."""
        self._closing.set()
        self.drop()

    async def hold(self, held: Held) -> bool:
        """Wait until released, at most SILENCE_S; tell whether to go on."""
        if len(self._held) >= MAX_HELD:
            raise RefusalError(429, "too_many_held", f"{MAX_HELD} requests are held already")
        event = asyncio.Event()
        self._held[event] = held
        self._records.changed()
        try:
            await _wait(event, SILENCE_S)
        finally:
            del self._held[event]
        return not held.dropped

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than the server runs."""
        await _wait(self._closing, seconds)


def _fits(fault: Fault) -> bool:
    """Tell whether an operation can fail in this way; webhooks fail in ways of their own."""
    if fault.target is Target.WEBHOOK:
        return fault.kind in _OF_WEBHOOKS | _OF_BOTH
    return fault.kind not in _OF_WEBHOOKS


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def failing(faults: Faults, target: Target | Callable[[web.Request], Target]) -> Decorator:
    """Return a decorator: the handler fails as `faults` say.

    One path can be two operations: then `target` tells which of them a request is.
    """

    def decorate(handler: Operation) -> Operation:
        @wraps(handler)
        async def run(request: web.Request) -> web.Response:
            fault = faults.take(target(request) if callable(target) else target)
            if fault is None:
                return await handler(request)
            await request.read()  # the request has arrived as a whole, whatever comes of it
            if (answer := await _before(faults, fault, request)) is not None:
                return answer
            return await _after(faults, fault, request, await handler(request))

        return run

    return decorate


async def _before(faults: Faults, fault: Fault, request: web.Request) -> web.Response | None:
    """Return the answer if the effect does not happen at all."""
    match fault.kind:
        case Kind.TIMEOUT_BEFORE:
            await faults.pause(SILENCE_S)
            return _reset(request)
        case Kind.RESET_BEFORE:
            return _reset(request)
        case Kind.STATUS:
            return refusal(fault.status, "scripted_fault", f"{fault.target} was told to fail")
        case Kind.DELAY:
            await faults.pause(fault.delay_s)
        case Kind.HOLD_BEFORE if not await faults.hold(_held(fault, request)):
            return _reset(request)
    return None


async def _after(
    faults: Faults, fault: Fault, request: web.Request, answer: web.Response
) -> web.Response:
    match fault.kind:
        case Kind.TIMEOUT_AFTER:
            await faults.pause(SILENCE_S)
            return _reset(request)
        case Kind.RESET_AFTER:
            return _reset(request)
        case Kind.HOLD_AFTER if not await faults.hold(_held(fault, request)):
            return _reset(request)
        case Kind.WRONG_AMOUNT:
            return _with_wrong_amount(answer)
        case Kind.MALFORMED:
            return web.Response(body=b'{"id": "ch_', content_type="application/json")
    return answer


def _held(fault: Fault, request: web.Request) -> Held:
    key = request.headers.get("Idempotency-Key", "")
    return Held(fault.target, fault.kind, request.path, key)


def _reset(request: web.Request) -> web.Response:
    """Break the connection; the response returned goes nowhere."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


def _with_wrong_amount(answer: web.Response) -> web.Response:
    """Add one minor unit to the amount that is told; what was really done stays."""
    body = msgspec.json.decode(answer.body) if isinstance(answer.body, bytes) else {}
    for told in body.get("data", [body]):
        within = told.get("charge")  # of a change
        told_of = within if isinstance(within, dict) else told
        if "amount" in told_of:
            told_of["amount"] += 1
    return reply(body, answer.status)
