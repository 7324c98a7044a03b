"""Merchants' events about disputes and warnings of fraud."""

from collections.abc import AsyncIterator

import msgspec
import psycopg2
import pytest

from scripts.platform.client import Client
from service.merchant_webhooks.catalog import CATALOG, Envelope, EventType, data_of
from tests.integration.api.conftest import Api
from tests.integration.api.merchant_webhooks.sending import send_due
from tests.support.disputes import changed, charge_of, disputed, paid, process_webhooks
from tests.support.merchant import Json, Merchant, merchant, register
from tests.support.services import ADMIN

TYPES = [name for name in CATALOG if name.startswith(("dispute.", "fraud_warning."))]


@pytest.fixture
async def receiver(api: Api) -> AsyncIterator[Merchant]:
    """Give a merchant who listens to disputes."""
    async with merchant() as found, api.client("olga", ADMIN) as operator:
        await register(operator, found.url, *TYPES)
        yield found


async def sent(api: Api, receiver: Merchant) -> list[tuple[str, Json]]:
    """Send what is due; return the messages' types and data, which fit the catalog."""
    await send_due(api)
    for message in receiver.messages:
        envelope = msgspec.json.decode(message.body, type=Envelope)
        kind: EventType = envelope.type  # type: ignore[assignment]
        msgspec.json.decode(envelope.data, type=data_of(kind))
    return [(message.type, message.read()["data"]) for message in receiver.messages]


async def test_a_dispute_is_told_from_its_beginning_to_its_end(
    api: Api, ada: Client, receiver: Merchant
) -> None:
    payment = await paid(api, ada)
    dispute = await disputed(api, reason="fraudulent")
    await changed(api, dispute, "submit", "win", "reinstate")
    messages = await sent(api, receiver)
    assert sorted((kind, data["status"]) for kind, data in messages) == [
        ("dispute.created", "needs_response"),
        ("dispute.updated", "under_review"),
        ("dispute.updated", "won"),  # the money is back
        ("dispute.won", "won"),
    ]
    [created] = [data for kind, data in messages if kind == "dispute.created"]
    assert (created["payment_id"], created["order_id"], created["user_id"]) == (
        payment["id"],
        payment["order_id"],
        "ada",
    )
    assert (created["amount"], created["withdrawn"], created["reinstated"]) == (1499, 1499, 0)
    assert (created["currency"], created["reason"]) == ("EUR", "fraudulent")
    assert created["evidence_due_at"] is not None


async def test_one_that_was_lost_when_we_first_heard_is_told_so(
    api: Api, ada: Client, receiver: Merchant
) -> None:
    await paid(api, ada)
    hook = (await api.simulator.webhooks())["url"]
    await api.simulator.send_webhooks("", "")
    dispute = await api.simulator.dispute(await charge_of(api))
    await api.simulator.change_dispute(dispute["id"], "lose")
    await paid(api, ada, "game-2")
    assert hook == (await api.simulator.webhooks())["url"]
    await changed(api, dispute, "lose")
    messages = await sent(api, receiver)
    assert sorted(kind for kind, _ in messages) == ["dispute.created", "dispute.lost"]


async def test_a_warning_of_fraud_is_told(api: Api, ada: Client, receiver: Merchant) -> None:
    payment = await paid(api, ada)
    await api.simulator.warn(await charge_of(api), fraud_type="misc")
    await process_webhooks(api)
    [(kind, data)] = await sent(api, receiver)
    assert (kind, data["payment_id"]) == ("fraud_warning.created", payment["id"])
    assert (data["fraud_type"], data["actionable"]) == ("misc", True)


@pytest.mark.as_owner
@pytest.mark.parametrize("function", ["tell_of_disputes", "tell_of_fraud_warnings"])
async def test_who_writes_as_the_owner_serves_its_own_table(api: Api, function: str) -> None:
    """Otherwise a login that may create a table could forge merchants' events."""
    db = api.context.db
    await db.fetch("CREATE TABLE forged (id uuid, status text)")
    await db.fetch(
        "CREATE TRIGGER forge AFTER INSERT ON forged REFERENCING NEW TABLE AS new_rows"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
    )
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        await db.fetch("INSERT INTO forged VALUES (gen_random_uuid(), 'lost')")
