"""What completes a payment in the buyer's browser is never in our database."""

import subprocess
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from scripts.platform.embedded import postgres_program
from tests.integration.api.conftest import Api, Start
from tests.support.recorded import Recorded, error, intent, recorded_server

SECRET: Final = "pi_3PgafyB7WZ01zgkW_secret_ofthisbuyer"
PAGE: Final = "https://hooks.stripe.com/3d_secure/x?client_secret=src_secret_ofthepage"
SECRETS: Final = (SECRET, "src_secret_ofthepage")


def waiting(amount: int) -> dict[str, Any]:
    """Return a PaymentIntent whose buyer has to visit a page of the bank."""
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": PAGE}}
    return intent("requires_action", amount=amount, client_secret=SECRET, next_action=action)


def dump(owner_url: str) -> str:
    """Return all that the database holds, as text."""
    done = subprocess.run(
        [postgres_program("pg_dump"), "--inserts", owner_url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def kept(owner_url: str) -> list[str]:
    """Return the secrets that the database holds."""
    text = dump(owner_url)
    assert "requires_action" in text  # it is the right database, and the payment is in it
    return [secret for secret in SECRETS if secret in text]


@pytest.fixture
async def stripe() -> AsyncIterator[Recorded]:
    async with recorded_server() as recorded:
        yield recorded


@pytest.fixture
async def api(start_api: Start, stripe: Recorded) -> Api:
    return await start_api(
        PROVIDERS="stripe", DEFAULT_PROVIDER="stripe", STRIPE_API_KEY="sk_test_x",
        STRIPE_URL=stripe.url,
    )  # fmt: skip


async def test_a_secret_is_shown_again_and_kept_nowhere(
    ada: Client, stripe: Recorded, owner_url: str
) -> None:
    order, key = await ada.order(["game-1"]), str(uuid4())
    now = waiting(order["total"])
    stripe.will((200, now))
    first = (await ada.pay(order["id"], key=key)).expect(201)
    assert first.body["next_action"] == {
        "type": "redirect_to_url", "redirect_url": PAGE, "client_secret": SECRET,
    }  # fmt: skip
    assert kept(owner_url) == []

    stripe.will((200, now), (500, error("api_error")))
    again = (await ada.pay(order["id"], key=key)).expect(201)
    assert (again.replayed, again.body) == (True, first.body)
    away = (await ada.pay(order["id"], key=key)).expect(201)  # Stripe does not answer now
    assert away.body == {**first.body, "next_action": None}
    assert kept(owner_url) == []


async def test_a_secret_is_gone_when_the_payment_has_moved_on(
    ada: Client, stripe: Recorded, owner_url: str
) -> None:
    order, key = await ada.order(["game-1"]), str(uuid4())
    amount = order["total"]
    stripe.will((200, waiting(amount)))
    first = (await ada.pay(order["id"], key=key)).expect(201).body
    stripe.will((200, intent("canceled", amount=amount, client_secret=SECRET)))
    canceled = (await ada.cancel(first["id"], key=str(uuid4()))).expect(200).body
    assert canceled["status"] == "canceled"

    asked = len(stripe.asked)
    again = (await ada.pay(order["id"], key=key)).expect(201)
    assert (again.replayed, again.body) == (True, {**first, "next_action": None})
    assert len(stripe.asked) == asked  # there is nothing to ask for
    assert kept(owner_url) == []
