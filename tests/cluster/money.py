"""Whether the money is right: our database against the provider's charges and the Library's grants.

Read by this test's own queries, not by the service's reconciliation.
"""

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg2

from infra import labels
from scripts.cluster.stack import NAMESPACE
from scripts.platform.embedded import LOOPBACK
from tests.cluster.shop import Shop
from tests.resilience.ledger_checks import BROKEN, UNFINISHED, rows

FINISH_TIMEOUT_S: Final = 900.0
"""Waits before an unknown outcome is asked for again double: the last one after a long outage may
be twice as long as the outage."""
POLL_S: Final = 0.5
PAYMENTS: Final = """
    SELECT id::text, order_id::text, status, provider_ref, captured_minor, refunded_minor,
        extract(epoch FROM created_at)::float8
    FROM payments
"""


@dataclass(frozen=True)
class Books:
    """What both sides have: rows of PAYMENTS, and the simulator's charges and grants."""

    payments: list[tuple[Any, ...]]
    charges: list[dict[str, Any]]
    grants: list[dict[str, Any]]


@dataclass(frozen=True)
class Money:
    """Everything that is wrong; all empty when the money is right."""

    double_charges: list[str]
    """Orders that were charged more than once, and not refunded."""
    unmatched_charges: list[str]
    """Charges that we don't know as such, and payments without their charge."""
    ungranted: list[str]
    """Payments that were paid, and whose games nobody was given."""
    forgotten: list[str]
    """Orders whose payment was accepted, and that the database knows no payment of."""
    broken: list[tuple[str, str]]
    """Invariants of the database that don't hold, and how often."""

    @property
    def right(self) -> bool:
        wrong = (self.double_charges, self.unmatched_charges, self.ungranted, self.forgotten)
        return not any(wrong) and not self.broken


def judge(
    books: Books, sold: Collection[str], broken: list[tuple[str, str]], began: float = 0
) -> Money:
    """Compare both sides; `sold` are the orders whose payments customers were told of.

    Of what was before `began`, in seconds since 1970, one side may have forgotten its half.
    """
    kept = {
        charge["id"]: charge["amount_captured"] - charge["amount_refunded"]
        for charge in books.charges
        if charge["amount_captured"] > charge["amount_refunded"]
    }
    order_of = {reference: order for _, order, _, reference, *_ in books.payments if reference}
    charged = Counter(order_of[charge] for charge in kept if charge in order_of)
    ours = {
        reference: captured - refunded
        for _, _, _, reference, captured, refunded, _ in books.payments
        if captured > refunded
    }
    granted = {grant["order_id"] for grant in books.grants if not grant["revoked"]}
    recent = [payment for payment in books.payments if payment[-1] >= began]
    looked_at = {charge["id"] for charge in books.charges if charge["created"] >= began}
    looked_at |= {reference for _, _, _, reference, *_ in recent if reference}
    return Money(
        double_charges=[order for order, count in charged.items() if count > 1],
        unmatched_charges=sorted(
            charge for charge in looked_at if kept.get(charge) != ours.get(charge)
        ),
        ungranted=[
            payment
            for payment, order, status, _, _, refunded, _ in recent
            if status == "succeeded" and not refunded and order not in granted
        ],
        forgotten=sorted(set(sold) - {order for _, order, *_ in books.payments}),
        broken=broken,
    )


def look(shop: Shop, began: float, sold: Collection[str]) -> Money:
    """Wait until the workers have nothing left to do; return what is wrong then.

    Of what was before `began` a simulator that was made again since then knows nothing.
    """
    postgresql, simulator = (
        shop.pods(each)[0]["metadata"]["name"] for each in (labels.POSTGRESQL, labels.SIMULATOR)
    )
    with (
        shop.forwarded(NAMESPACE, f"pod/{postgresql}", labels.POSTGRESQL_PORT) as database,
        shop.forwarded(NAMESPACE, f"pod/{simulator}", labels.SIMULATOR_PORT) as outside,
    ):
        owner = urlsplit(shop.secrets["MIGRATION_DATABASE_URL"])
        login = f"{owner.username}:{owner.password}@{LOOPBACK}:{database}"
        url = owner._replace(netloc=login).geturl()
        _until_finished(url)
        connection = psycopg2.connect(url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(PAYMENTS)
                payments = cursor.fetchall()
        finally:
            connection.close()
        state = shop.ask(outside, "/control/state")
        books = Books(payments, state["charges"], state["grants"])
        return judge(books, sold, rows(url, BROKEN), began)


def _until_finished(url: str) -> None:
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    while left := rows(url, UNFINISHED):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still to be done after {FINISH_TIMEOUT_S:g} s: {left[:5]}")
        time.sleep(POLL_S)
