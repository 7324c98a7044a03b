"""SimPay's disputes and warnings of fraud; /control acts as the buyer's bank."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Final
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import Meta

from simulator.charges import Charge
from simulator.faults import Faults, Target, failing
from simulator.records import Records, page_of
from simulator.replies import RefusalError, query, read, reply
from simulator.webhooks import Webhooks

PREFIX: Final = "/provider/v1"
CONTROL: Final = "/control"
DUE_IN_S: Final = 604_800
"""Card networks give one to three weeks for an answer; it is a week here."""


class NewDispute(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /control/charges/{id}/dispute; without an amount all that was captured."""

    amount: Annotated[int, Meta(ge=1, le=99_999_999)] | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=64)] = "fraudulent"
    inquiry: bool = False
    due_in_s: Annotated[int, Meta(ge=-2_592_000, le=2_592_000)] = DUE_IN_S


class NewWarning(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /control/charges/{id}/warn."""

    fraud_type: Annotated[str, Meta(min_length=1, max_length=64)] = "misc"


class Dispute(msgspec.Struct, kw_only=True):
    """A dispute as the provider keeps it; `withdrawn` and `reinstated` are sums."""

    id: str
    object: str = "dispute"
    charge: str
    amount: int
    currency: str
    reason: str
    status: str
    evidence_due_by: int | None
    withdrawn: int = 0
    reinstated: int = 0
    created: int


class FraudWarning(msgspec.Struct, kw_only=True):
    """A card network's suspicion."""

    id: str
    object: str = "fraud_warning"
    charge: str
    fraud_type: str
    actionable: bool = True
    created: int


class DisputeFilter(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /disputes; the newest come first."""

    charge: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    starting_after: str | None = None


class Disputes:
    """The disputes and warnings of all charges; every change sends a webhook."""

    def __init__(self, records: Records, webhooks: Webhooks) -> None:
        self._records = records
        self._webhooks = webhooks
        self.actions: dict[str, Callable[[Dispute], str]] = {
            "withdraw": self._withdraw,
            "reinstate": self._reinstate,
            "submit": _to("under_review"),
            "win": _to("won"),
            "lose": _to("lost"),
            "escalate": _to("needs_response"),
            "close": _to("warning_closed"),
        }
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.disputes: dict[str, Dispute] = {}
        self.warnings: dict[str, FraudWarning] = {}

    def withholds(self, charge_id: str) -> bool:
        """Return whether a bank has a charge's money, or may still get it."""
        return any(
            dispute.charge == charge_id
            and dispute.status in ("needs_response", "under_review", "lost")
            for dispute in self.disputes.values()
        )

    def open(self, charge: Charge, new: NewDispute) -> Dispute:
        """Let a buyer dispute a charge: a chargeback takes the money, an inquiry asks first."""
        if not charge.amount_captured:
            raise RefusalError(409, "charge_not_captured", f"the charge is {charge.status}")
        self._records.make_room(len(self.disputes), "disputes")
        now = int(time.time())
        dispute = Dispute(
            id=f"dp_{uuid4().hex}",
            charge=charge.id,
            amount=new.amount or charge.amount_captured,
            currency=new.currency or charge.currency,
            reason=new.reason,
            status="warning" if new.inquiry else "needs_response",
            evidence_due_by=now + new.due_in_s,
            created=now,
        )
        self.disputes[dispute.id] = dispute
        for warning in self.warnings.values():
            if warning.charge == charge.id and warning.actionable:
                warning.actionable = False
                self._webhooks.announce("fraud_warning.updated", warning)
        if not new.inquiry:
            dispute.withdrawn = dispute.amount
        return self._announce(dispute, "created")

    def change(self, dispute_id: str, action: str) -> Dispute:
        """Let the bank, or whoever answers it, do something."""
        dispute = self.dispute(dispute_id)
        if action not in self.actions:
            raise RefusalError(404, "action_unknown", f"one of {', '.join(self.actions)}")
        return self._announce(dispute, self.actions[action](dispute))

    def warn(self, charge: Charge, new: NewWarning) -> FraudWarning:
        """Let a card's network suspect fraud."""
        self._records.make_room(len(self.warnings), "warnings")
        warning = FraudWarning(
            id=f"issfr_{uuid4().hex}",
            charge=charge.id,
            fraud_type=new.fraud_type,
            created=int(time.time()),
        )
        self.warnings[warning.id] = warning
        self._webhooks.announce("fraud_warning.created", warning)
        self._records.changed()
        return warning

    def dispute(self, dispute_id: str) -> Dispute:
        """Return a dispute. Raises RefusalError."""
        try:
            return self.disputes[dispute_id]
        except KeyError:
            raise RefusalError(404, "dispute_not_found", f"no dispute {dispute_id}") from None

    def warning(self, warning_id: str) -> FraudWarning:
        """Return a warning of fraud. Raises RefusalError."""
        try:
            return self.warnings[warning_id]
        except KeyError:
            raise RefusalError(404, "warning_not_found", f"no warning {warning_id}") from None

    def find(self, wanted: DisputeFilter) -> dict[str, Any]:
        """Return a page of disputes."""
        found = reversed(self.disputes.values())
        return page_of(
            (each for each in found if wanted.charge in (None, each.charge)),
            wanted.limit,
            wanted.starting_after,
        )

    def _withdraw(self, dispute: Dispute) -> str:
        if dispute.withdrawn > dispute.reinstated:
            raise RefusalError(409, "already_withdrawn", "the bank has the money")
        dispute.withdrawn += dispute.amount
        return "funds_withdrawn"

    def _reinstate(self, dispute: Dispute) -> str:
        if dispute.withdrawn == dispute.reinstated:
            raise RefusalError(409, "nothing_withdrawn", "the bank has no money")
        dispute.reinstated = dispute.withdrawn
        return "funds_reinstated"

    def _announce(self, dispute: Dispute, what: str) -> Dispute:
        self._webhooks.announce(f"dispute.{what}", dispute)
        self._records.changed()
        return dispute


def _to(status: str) -> Callable[[Dispute], str]:
    def act(dispute: Dispute) -> str:
        dispute.status = status
        return "closed" if status in ("won", "lost", "warning_closed") else "updated"

    return act


def routes(
    disputes: Disputes, charge: Callable[[str], Charge], faults: Faults
) -> list[web.RouteDef]:
    """Return the URL tables of the provider's disputes and of the simulated bank.

    `charge` finds a charge by its id.
    """
    answer = Handlers(disputes, charge)
    finds, lists = failing(faults, Target.DISPUTE), failing(faults, Target.LIST)
    return [
        web.get(f"{PREFIX}/disputes", lists(answer.find)),
        web.get(f"{PREFIX}/disputes/{{id}}", finds(answer.get)),
        web.get(f"{PREFIX}/fraud_warnings/{{id}}", finds(answer.get_warning)),
        web.post(f"{CONTROL}/charges/{{id}}/dispute", answer.open),
        web.post(f"{CONTROL}/charges/{{id}}/warn", answer.warn),
        web.post(f"{CONTROL}/disputes/{{id}}/{{action}}", answer.change),
    ]


class Handlers:
    """The provider's side of each request, and the bank's."""

    def __init__(self, disputes: Disputes, charge: Callable[[str], Charge]) -> None:
        self._disputes = disputes
        self._charge = charge

    async def find(self, request: web.Request) -> web.Response:
        return reply(self._disputes.find(query(request, DisputeFilter)))

    async def get(self, request: web.Request) -> web.Response:
        return reply(self._disputes.dispute(request.match_info["id"]))

    async def get_warning(self, request: web.Request) -> web.Response:
        return reply(self._disputes.warning(request.match_info["id"]))

    async def open(self, request: web.Request) -> web.Response:
        charge = self._charge(request.match_info["id"])
        return reply(self._disputes.open(charge, await read(request, NewDispute)))

    async def warn(self, request: web.Request) -> web.Response:
        charge = self._charge(request.match_info["id"])
        return reply(self._disputes.warn(charge, await read(request, NewWarning)))

    async def change(self, request: web.Request) -> web.Response:
        found = request.match_info
        return reply(self._disputes.change(found["id"], found["action"]))
