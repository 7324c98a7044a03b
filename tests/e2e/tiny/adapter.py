"""Tiny's API: a charge is made and asked for; there is nothing else."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final, NoReturn
from uuid import UUID

from service.domain.amounts import AmountLimits, AmountRange
from service.domain.money import Money
from service.domain.payment import Charge, ChargeOutcome, NextAction
from service.outbound import Outbound
from service.providers.calls import segment, send
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    NotSentError,
    ProviderCharge,
    ProviderDispute,
    ProviderFraudWarning,
    ProviderRefund,
    RefundRequest,
    RefundResult,
)

MOST_MINOR: Final = 5_000


class TinyProvider:
    """The port's calls in Tiny's words."""

    name = "tiny"
    limits: AmountLimits = {"EUR": AmountRange(1, MOST_MINOR)}  # noqa: RUF012  as in the port

    def __init__(self, outbound: Outbound, shop: str) -> None:
        self._outbound = outbound
        self._shop = shop

    async def charge(self, request: ChargeRequest) -> Charge:
        """POST /charges."""
        body = {
            "shop": self._shop,
            "cents": request.amount.minor,
            "attempt": str(request.attempt_id),
            "payment": str(request.payment_id),
        }
        return _charge((await send(self._outbound, "charge", "POST", "/charges", body=body)).body)

    async def get_charge(self, charge_ref: str) -> Charge:
        """GET /charges/{id}."""
        path = f"/charges/{segment(charge_ref)}"
        return _charge((await send(self._outbound, "find", "GET", path)).body)

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        """Tiny takes a repeat for the first."""
        return await self.charge(request)

    async def capture(self, request: HeldRequest) -> Charge:
        """Tiny can't."""
        _refuse(request)

    async def cancel(self, request: HeldRequest) -> Charge:
        """Tiny can't."""
        _refuse(request)

    async def refund(self, request: RefundRequest) -> RefundResult:
        """Tiny can't."""
        _refuse(request)

    async def find_refund(self, request: RefundRequest) -> RefundResult | None:
        """Tiny can't."""
        _refuse(request)

    async def list_refunds(self, charge_ref: str) -> list[ProviderRefund]:
        """Tiny can't."""
        _refuse(charge_ref)

    async def get_dispute(self, dispute_ref: str) -> ProviderDispute:
        """Tiny can't."""
        _refuse(dispute_ref)

    async def find_disputes(self, charge_ref: str) -> list[ProviderDispute]:
        """Tiny can't."""
        _refuse(charge_ref)

    async def get_fraud_warning(self, warning_ref: str) -> ProviderFraudWarning:
        """Tiny can't."""
        _refuse(warning_ref)

    async def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """Tiny can't."""
        _refuse(since, until)
        yield  # type: ignore[unreachable]

    async def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """Tiny can't."""
        _refuse(since, until)
        yield  # type: ignore[unreachable]

    async def list_disputes(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[ProviderDispute]:
        """Tiny can't."""
        _refuse(since, until)
        yield  # type: ignore[unreachable]


def _refuse(*_asked: object) -> NoReturn:
    raise NotSentError("Tiny only charges")


def _charge(body: Any) -> Charge:
    outcome = ChargeOutcome(body["state"])
    return Charge(
        outcome,
        body["id"],
        Money(body["cents"], "EUR"),
        next_action=NextAction("redirect_to_url", "https://tiny.example/confirm")
        if outcome is ChargeOutcome.REQUIRES_ACTION
        else None,
        payment_id=UUID(body["payment"]),
        attempt_id=UUID(body["attempt"]),
    )
