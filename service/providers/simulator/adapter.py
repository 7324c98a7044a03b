"""The provider simulator's API, spoken like a real provider's: over HTTP, with an API key."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service.domain.amounts import AmountLimits, AmountRange
from service.domain.money import CURRENCIES, Money
from service.domain.payment import Charge, ChargeOutcome
from service.outbound import Outbound, OutboundResponse
from service.providers.calls import not_let_in, segment, send, whole
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
from service.providers.simulator import disputes

Record = TypeVar("Record")

MOST_MINOR: Final = 99_999_999
LIMITS: Final[AmountLimits] = {currency: AmountRange(1, MOST_MINOR) for currency in CURRENCIES}
OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
REFUSED: Final = frozenset({400, 402, 404, 409, 422})
"""Statuses with which the simulator says that it has done nothing and never will."""


PAGE: Final = 100
"""Records a page of a list; the simulator gives no more."""
MAX_REFUND_PAGES: Final = 10
"""A charge has at most a handful of refunds; a thousand would be another problem."""


_OUTCOMES: Final = frozenset(ChargeOutcome)


class _Charge(msgspec.Struct, frozen=True):
    id: str
    status: str
    amount: int
    currency: str
    amount_captured: int | None = None
    failure_code: str | None = None
    reference: str = ""
    idempotency_key: str = ""


class _Listed(msgspec.Struct, frozen=True):
    id: str
    status: str
    amount: int
    currency: str
    amount_captured: int
    amount_refunded: int
    reference: str
    created: int


class _Page(msgspec.Struct, frozen=True):
    data: tuple[_Listed, ...]
    has_more: bool


class _Change(msgspec.Struct, frozen=True):
    id: str
    changed: int
    charge: _Listed


class _Changes(msgspec.Struct, frozen=True):
    data: tuple[_Change, ...]
    has_more: bool


class _Refund(msgspec.Struct, frozen=True):
    id: str
    status: Literal["pending", "succeeded", "failed"]
    amount: int
    currency: str
    idempotency_key: str = ""
    failure_code: str | None = None


class _RefundPage(msgspec.Struct, frozen=True):
    data: tuple[_Refund, ...]
    has_more: bool


PageKind = TypeVar("PageKind", _Page, _Changes)


class SimulatorProvider:
    """The port's calls in the simulator's words."""

    name = "simulator"
    limits: AmountLimits = LIMITS

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def charge(self, request: ChargeRequest) -> Charge:
        """POST /charges."""
        answer = await self._call(
            "charge",
            "POST",
            "/provider/v1/charges",
            body={
                "amount": request.amount.minor,
                "currency": request.amount.currency,
                "capture": request.capture,
                "payment_method": request.payment_method,
                "reference": str(request.payment_id),
            },
            key=str(request.attempt_id),
        )
        if answer.status in REFUSED:
            return Charge(ChargeOutcome.REJECTED, None, None, _code(answer))
        return _charge(answer.body)

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        """GET /charges by idempotency key."""
        answer = await self._call(
            "find",
            "GET",
            "/provider/v1/charges",
            query={"idempotency_key": str(request.attempt_id)},
        )
        found = _found(answer)
        return _charge(found) if found is not None else None

    async def get_charge(self, charge_ref: str) -> Charge:
        """GET /charges/{id}."""
        answer = await self._call("find", "GET", f"/provider/v1/charges/{segment(charge_ref)}")
        if answer.status == NOT_FOUND:
            raise NoSuchChargeError(f"no such charge: {_code(answer)}")
        if answer.status in REFUSED:
            raise OutcomeUnknownError(f"the look-up was refused: {_code(answer)}", answered=True)
        return _charge(answer.body)

    async def capture(self, request: HeldRequest) -> Charge:
        """POST /charges/{id}/capture."""
        return await self._change("capture", request, {"amount": request.amount.minor})

    async def cancel(self, request: HeldRequest) -> Charge:
        """POST /charges/{id}/cancel."""
        return await self._change("cancel", request, {})

    async def refund(self, request: RefundRequest) -> RefundResult:
        """POST /charges/{id}/refunds."""
        answer = await self._call(
            "refund",
            "POST",
            f"/provider/v1/charges/{segment(request.charge_ref)}/refunds",
            body={"amount": request.amount.minor},
            key=str(request.refund_id),
        )
        if answer.status in REFUSED:
            return RefundResult(False, None, None, _code(answer))  # noqa: FBT003  succeeded
        return _refund(answer.body)

    async def find_refund(self, request: RefundRequest) -> RefundResult | None:
        """GET /refunds by idempotency key."""
        answer = await self._call(
            "find",
            "GET",
            "/provider/v1/refunds",
            query={"idempotency_key": str(request.refund_id)},
        )
        found = _found(answer)
        return _refund(found) if found is not None else None

    async def list_refunds(self, charge_ref: str) -> list[ProviderRefund]:
        """GET /refunds by charge."""
        query, found = {"charge": charge_ref, "limit": str(PAGE)}, list[ProviderRefund]()
        for _ in range(MAX_REFUND_PAGES):
            answer = await self._call("list", "GET", "/provider/v1/refunds", query=query)
            page = _read(answer.body, _RefundPage)
            found.extend(_listed_refund(refund) for refund in page.data)
            if not page.has_more or not page.data:
                return found
            query["starting_after"] = page.data[-1].id
        raise OutcomeUnknownError("the charge has more refunds than are looked through")

    async def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /charges, from the newest back to `since`: the simulator filters by nothing else."""
        query, more = {"limit": str(PAGE)}, True
        while more:
            answer = await self._call("list", "GET", "/provider/v1/charges", query=query)
            page = _page(answer, _Page)
            for listed in page.data:
                if listed.created < since.timestamp():
                    return
                if listed.created < until.timestamp():
                    yield _listed(listed)
            more = page.has_more and bool(page.data)
            query["starting_after"] = page.data[-1].id if page.data else ""

    async def get_dispute(self, dispute_ref: str) -> ProviderDispute:
        """GET /disputes/{id}."""
        return disputes.dispute_of(await self._look_up("disputes", dispute_ref))

    async def find_disputes(self, charge_ref: str) -> list[ProviderDispute]:
        """GET /disputes by charge: one page, which a charge never fills."""
        query = {"charge": charge_ref, "limit": str(PAGE)}
        answer = await self._call("find", "GET", "/provider/v1/disputes", query=query)
        return disputes.disputes_of(answer.body)[0]

    async def list_disputes(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[ProviderDispute]:
        """GET /disputes, from the newest back to `since`, as list_charges."""
        query, more = {"limit": str(PAGE)}, True
        while more:
            answer = await self._call("list", "GET", "/provider/v1/disputes", query=query)
            page, more = disputes.disputes_of(answer.body)
            for found in page:
                if found.created_at < since:
                    return
                if found.created_at < until:
                    yield found
                query["starting_after"] = found.provider_ref

    async def get_fraud_warning(self, warning_ref: str) -> ProviderFraudWarning:
        """GET /fraud_warnings/{id}."""
        return disputes.fraud_warning_of(await self._look_up("fraud_warnings", warning_ref))

    async def _look_up(self, kind: str, ref: str) -> Any:
        answer = await self._call("find", "GET", f"/provider/v1/{kind}/{segment(ref)}")
        if answer.status in REFUSED:
            raise OutcomeUnknownError(f"not in {kind}: {_code(answer)}", answered=True)
        return answer.body

    async def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /changes."""
        window = {"since": whole(since), "until": whole(until)}
        query, more = {"limit": str(PAGE), **window}, True
        while more:
            answer = await self._call("list", "GET", "/provider/v1/changes", query=query)
            page = _page(answer, _Changes)
            for change in page.data:
                yield replace(
                    _listed(change.charge), changed_at=datetime.fromtimestamp(change.changed, UTC)
                )
            more = page.has_more and bool(page.data)
            query["starting_after"] = page.data[-1].id if page.data else ""

    async def _change(self, operation: str, request: HeldRequest, body: Any) -> Charge:
        answer = await self._call(
            operation,
            "POST",
            f"/provider/v1/charges/{segment(request.charge_ref)}/{operation}",
            body=body,
            key=str(request.attempt_id),
        )
        if answer.status in REFUSED:
            return Charge(ChargeOutcome.REJECTED, None, None, _code(answer))
        return _charge(answer.body)

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: dict[str, str] | None = None,
        key: str = "",
    ) -> OutboundResponse:
        headers = {"Idempotency-Key": key} if key else None
        answer = await send(
            self._outbound, operation, method, path, body=body, query=query, headers=headers
        )
        if answer.status >= BAD_REQUEST and answer.status not in REFUSED:
            # e.g. 401 or 429: nothing was done, and it is not this payment's fault
            raise not_let_in(answer, f"status {answer.status}")
        return answer


def _found(answer: OutboundResponse) -> Any:
    try:
        data = answer.body["data"]
        return data[0] if data else None
    except (KeyError, TypeError, IndexError) as error:
        raise OutcomeUnknownError("the list of the provider cannot be read") from error


def _code(answer: OutboundResponse) -> str:
    try:
        return str(answer.body["error"]["code"])[:64]
    except (KeyError, TypeError):
        return f"status_{answer.status}"


def _charge(body: Any) -> Charge:
    try:
        charge = msgspec.convert(body, _Charge)
        return Charge(
            ChargeOutcome(charge.status),
            charge.id,
            _amount(charge.amount, charge.currency),
            charge.failure_code,
            captured_minor=charge.amount_captured,
            payment_id=_uuid(charge.reference),
            attempt_id=_uuid(charge.idempotency_key),
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise OutcomeUnknownError(f"the provider's charge cannot be read: {error}") from error


def _page(answer: OutboundResponse, kind: type[PageKind]) -> PageKind:
    try:
        return msgspec.convert(answer.body, kind)
    except msgspec.ValidationError as error:
        raise OutcomeUnknownError(f"the provider's list cannot be read: {error}") from error


def _listed(charge: _Listed) -> ProviderCharge:
    return ProviderCharge(
        provider_ref=charge.id,
        payment_id=_uuid(charge.reference),
        outcome=ChargeOutcome(charge.status) if charge.status in _OUTCOMES else None,
        amount=_amount(charge.amount, charge.currency),
        captured_minor=charge.amount_captured,
        refunded_minor=charge.amount_refunded,
        created_at=datetime.fromtimestamp(charge.created, UTC),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _refund(body: Any) -> RefundResult:
    refund = _read(body, _Refund)
    if refund.status == "pending":
        raise OutcomeUnknownError("the refund is pending", answered=True)
    return RefundResult(
        refund.status == "succeeded",
        refund.id,
        _amount(refund.amount, refund.currency),
        None if refund.status == "succeeded" else refund.failure_code or refund.status,
    )


def _listed_refund(refund: _Refund) -> ProviderRefund:
    return ProviderRefund(
        provider_ref=refund.id,
        refund_id=_uuid(refund.idempotency_key),
        status=refund.status,
        amount=_amount(refund.amount, refund.currency),
        failure_code=refund.failure_code,
    )


def _read(body: Any, record: type[Record]) -> Record:
    try:
        return msgspec.convert(body, record)
    except msgspec.ValidationError as error:
        raise OutcomeUnknownError(f"the provider's refunds cannot be read: {error}") from error


def _amount(minor: int, currency: str) -> Money | None:
    """Return the amount, or None for one that can't be ours: it then counts as different."""
    try:
        return Money(minor, currency)
    except ValueError:
        return None
