"""The provider simulator's API, called like a real provider's: over HTTP, with an API key."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from service.call_results import PAGE, ItemT, OutboundResponse, Page, created_within, paginate
from service.domain.amounts import AmountLimits
from service.domain.payment import Charge, ChargeOutcome
from service.providers.calls import Record, at_most, denied, read, segment, send, unix_s
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    NoSuchChargeError,
    OutcomeUnknownError,
    ProviderCharge,
    ProviderDispute,
    ProviderFraudWarning,
    ProviderRefund,
    RefundRequest,
    RefundResult,
)
from service.providers.simulator import mapping
from service.providers.simulator.mapping import (
    SimulatorChange,
    SimulatorCharge,
    SimulatorDispute,
    SimulatorRefund,
    SimulatorWarning,
)

if TYPE_CHECKING:
    from service.outbound import Outbound

ROOT: Final = "/provider/v1"
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
REFUSED: Final = frozenset({400, 402, 404, 409, 422})
"""Statuses with which the simulator says that it has done nothing and never will."""

MAX_REFUNDS: Final = 1_000
"""A charge has a handful of refunds at most; a thousand would be another problem."""


class SimulatorProvider:
    """The port's calls at the simulator."""

    name = "simulator"
    limits: AmountLimits = mapping.LIMITS

    def __init__(self, outbound: "Outbound") -> None:
        self._outbound = outbound

    async def charge(self, request: ChargeRequest) -> Charge:
        """POST /charges."""
        body = {
            "amount": request.amount.minor,
            "currency": request.amount.currency,
            "capture": request.capture,
            "payment_method": request.payment_method,
            "reference": str(request.payment_id),
        }
        return _charge(await self._post("charge", "charges", request.attempt_id, body))

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        """GET /charges by idempotency key."""
        page = await self._find("charges", request.attempt_id, Page[SimulatorCharge])
        return mapping.charge_of(page.data[0]) if page.data else None

    async def get_charge(self, charge_ref: str) -> Charge:
        """GET /charges/{id}."""
        return mapping.charge_of(await self._look_up("charges", charge_ref, SimulatorCharge))

    async def capture(self, request: HeldRequest) -> Charge:
        """POST /charges/{id}/capture."""
        return await self._change("capture", request, {"amount": request.amount.minor})

    async def cancel(self, request: HeldRequest) -> Charge:
        """POST /charges/{id}/cancel."""
        return await self._change("cancel", request, {})

    async def refund(self, request: RefundRequest) -> RefundResult:
        """POST /charges/{id}/refunds."""
        path = f"charges/{segment(request.charge_ref)}/refunds"
        body = {"amount": request.amount.minor}
        answer = await self._post("refund", path, request.refund_id, body)
        if answer.status in REFUSED:
            return RefundResult(False, None, None, _code(answer))  # noqa: FBT003  succeeded
        return mapping.refund_of(read(answer.body, SimulatorRefund))

    async def find_refund(self, request: RefundRequest) -> RefundResult | None:
        """GET /refunds by idempotency key."""
        page = await self._find("refunds", request.refund_id, Page[SimulatorRefund])
        return mapping.refund_of(page.data[0]) if page.data else None

    async def list_refunds(self, charge_ref: str) -> list[ProviderRefund]:
        """GET /refunds by charge."""
        refunds = self._list("refunds", Page[SimulatorRefund], charge=charge_ref)
        return [mapping.listed_refund(refund) for refund in await at_most(MAX_REFUNDS, refunds)]

    async def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /charges, from the newest back to `since`: the simulator has no such filter."""
        charges = self._list("charges", Page[SimulatorCharge])
        async for charge in created_within(charges, since, until):
            yield mapping.listed(charge)

    async def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /changes."""
        window = {"since": unix_s(since), "until": unix_s(until)}
        async for change in self._list("changes", Page[SimulatorChange], **window):
            yield mapping.listed(change.charge, changed=change.changed)

    async def get_dispute(self, dispute_ref: str) -> ProviderDispute:
        """GET /disputes/{id}."""
        return mapping.dispute_of(await self._look_up("disputes", dispute_ref, SimulatorDispute))

    async def find_disputes(self, charge_ref: str) -> list[ProviderDispute]:
        """GET /disputes by charge."""
        disputes = self._list("disputes", Page[SimulatorDispute], "find", charge=charge_ref)
        return [mapping.dispute_of(found) for found in await at_most(PAGE, disputes)]

    async def list_disputes(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[ProviderDispute]:
        """GET /disputes, from the newest back to `since`, as list_charges."""
        disputes = self._list("disputes", Page[SimulatorDispute])
        async for found in created_within(disputes, since, until):
            yield mapping.dispute_of(found)

    async def get_fraud_warning(self, warning_ref: str) -> ProviderFraudWarning:
        """GET /fraud_warnings/{id}."""
        found = await self._look_up("fraud_warnings", warning_ref, SimulatorWarning)
        return mapping.fraud_warning_of(found)

    async def _change(self, operation: str, request: HeldRequest, body: dict[str, int]) -> Charge:
        path = f"charges/{segment(request.charge_ref)}/{operation}"
        return _charge(await self._post(operation, path, request.attempt_id, body))

    async def _post(self, operation: str, path: str, key: UUID, body: Any) -> OutboundResponse:
        headers = {"Idempotency-Key": str(key)}
        return await self._call(operation, "POST", path, body=body, headers=headers)

    async def _look_up(self, kind: str, ref: str, record: type[Record]) -> Record:
        return await self._get("find", f"{kind}/{segment(ref)}", record, {})

    async def _find(self, kind: str, key: UUID, page: type[Record]) -> Record:
        return await self._get("find", kind, page, {"idempotency_key": str(key)})

    def _list(
        self, kind: str, page: type[Page[ItemT]], operation: str = "list", **query: str
    ) -> AsyncIterator[ItemT]:
        return paginate(partial(self._get, operation, kind, page), query)

    async def _get(
        self, operation: str, path: str, record: type[Record], query: dict[str, str]
    ) -> Record:
        answer = await self._call(operation, "GET", path, query=query)
        if answer.status == NOT_FOUND:
            raise NoSuchChargeError(f"no {path}: {_code(answer)}")
        if answer.status in REFUSED:
            raise OutcomeUnknownError(f"a look-up was refused: {_code(answer)}", answered=True)
        return read(answer.body, record)

    async def _call(
        self, operation: str, method: str, path: str, **options: Any
    ) -> OutboundResponse:
        answer = await send(self._outbound, operation, method, f"{ROOT}/{path}", **options)
        if answer.status >= BAD_REQUEST and answer.status not in REFUSED:
            # e.g. 401 or 429: nothing was done, and it is not this payment's fault
            raise denied(answer, f"status {answer.status}")
        return answer


def _charge(answer: OutboundResponse) -> Charge:
    if answer.status in REFUSED:
        return Charge(ChargeOutcome.REJECTED, None, None, _code(answer))
    return mapping.charge_of(read(answer.body, SimulatorCharge))


def _code(answer: OutboundResponse) -> str:
    try:
        return str(answer.body["error"]["code"])[:64]
    except (KeyError, TypeError):
        return f"status_{answer.status}"
