"""Customers' requests, and their required results after any number of crashes."""

from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, Final

from scripts.platform.client import Client, Reply

PART_MINOR: Final = 300


class Flow(ABC):
    """A request that moves money: its preparation, the request, and its one outcome."""

    charges: str
    """Status that the flow leaves its one charge in."""

    payment: str = "succeeded"
    """Status that the flow leaves its one payment in."""

    refunds: int = 0
    """Refunds that it makes."""

    exchanges: int = 3
    """The least number of exchanges: begin, provider, record."""

    async def prepare(self, customer: Client) -> str:
        """Do what must have been done; return the id that the request is about."""
        return str((await customer.order(["game-1"]))["id"])

    @abstractmethod
    async def ask(self, customer: Client, subject: str, key: str) -> Reply:
        """Send the request."""

    async def is_finished(self, customer: Client) -> None:
        """Assert what the customer sees at the end."""
        payments = (await customer.read("/v1/payments"))["items"]
        assert [payment["status"] for payment in payments] == [self.payment]
        assert payments[0]["captured"] == (
            payments[0]["amount"] if self.payment == "succeeded" else 0
        )
        assert payments[0]["refunded"] == PART_MINOR * self.refunds
        assert payments[0]["refund_pending"] == 0

    def at_provider(self, state: dict[str, Any], rounds: int) -> None:
        """Assert what the provider has done for so many rounds of this flow."""
        assert Counter(charge["status"] for charge in state["charges"]) == {self.charges: rounds}
        assert len({charge["reference"] for charge in state["charges"]}) == rounds
        for charge in state["charges"]:
            taken = charge["amount"] if self.charges == "succeeded" else 0
            assert charge["amount_captured"] == taken
            assert charge["amount_refunded"] == PART_MINOR * self.refunds
        assert len(state["refunds"]) == self.refunds * rounds


class Order(Flow):
    """Create an order under a key."""

    exchanges = 2  # the key is looked up, then the order is made with it

    async def prepare(self, _customer: Client) -> str:
        return "game-1"

    async def ask(self, customer: Client, subject: str, key: str) -> Reply:
        body = {"currency": "EUR", "items": [{"game_id": subject}]}
        return await customer.call("POST", "/v1/orders", json=body, key=key)

    async def is_finished(self, customer: Client) -> None:
        orders = (await customer.read("/v1/orders"))["items"]
        assert [order["status"] for order in orders] == ["pending"]

    def at_provider(self, state: dict[str, Any], rounds: int) -> None:
        assert rounds
        assert not state["charges"]


class Pay(Flow):
    """Pay an order at once."""

    charges = "succeeded"

    async def ask(self, customer: Client, subject: str, key: str) -> Reply:
        return await customer.pay(subject, key=key)


class Authorize(Flow):
    """Authorize an order's amount."""

    charges = payment = "authorized"

    async def ask(self, customer: Client, subject: str, key: str) -> Reply:
        return await customer.pay(subject, key=key, capture="manual")


class Capture(Flow):
    """Capture an authorized amount."""

    charges = "succeeded"

    async def prepare(self, customer: Client) -> str:
        order = await customer.order(["game-1"])
        return str((await customer.pay(order["id"], capture="manual")).expect(201).body["id"])

    async def ask(self, customer: Client, subject: str, key: str) -> Reply:
        return await customer.capture(subject, key=key)


class Cancel(Capture):
    """Cancel an authorization."""

    charges = payment = "canceled"

    async def ask(self, customer: Client, subject: str, key: str) -> Reply:
        return await customer.cancel(subject, key=key)


class Refund(Flow):
    """Refund a part."""

    charges = "succeeded"
    refunds = 1

    async def prepare(self, customer: Client) -> str:
        order = await customer.order(["game-1"])
        return str((await customer.pay(order["id"])).expect(201).body["id"])

    async def ask(self, customer: Client, subject: str, key: str) -> Reply:
        return await customer.refund(subject, PART_MINOR, key=key)
