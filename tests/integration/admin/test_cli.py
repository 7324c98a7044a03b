"""The operators' command line as a process: it needs the database, and no API."""

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from service.api.common import ADMIN
from service.api.routes import ROUTES
from simulator.client import Control
from tests.integration.api.conftest import (  # noqa: F401  fixtures
    Api,
    Start,
    ada,
    api,
    clock,
    start_api,
)
from tests.integration.api.operators import GIVE_UP_LOOKING, payment_in_review, refund_in_review
from tests.integration.api.test_manual_refunds import (
    lost_record,
    orphan_in_review,
    parked,
    parked_long_ago,
    ungranted,
)
from tests.integration.api.test_reversals import came_back
from tests.support.services import settings
from tests.support.webhooks import Hook

TIMEOUT_S = 60
WHY = ["--as", "olga", "--note", "seen at the provider"]


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def body(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    environ: Mapping[str, str]

    async def __call__(self, *arguments: str, **environ: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service", "admin", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.environ, **environ},
        )
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def cli(database_url: str, simulator: Control) -> Cli:
    """Run commands with the database and the outside world of this test."""
    environ = settings(database_url=database_url, redis_url="", simulator_url=simulator.url)
    return Cli({**environ, "RECONCILIATION_GRACE_S": "0.001"})


@pytest.fixture
async def harness(start_api: Start) -> Api:  # noqa: F811  a fixture
    return await start_api(**GIVE_UP_LOOKING)


async def test_a_payment_is_seen_and_decided(harness: Api, cli: Cli) -> None:
    async with harness.client() as customer:
        payment = await payment_in_review(harness, customer)
    queue = await cli("list-review", "--json")
    assert [(i["kind"], i["id"]) for i in queue.body["items"]] == [("payment", payment["id"])]
    decision = ("resolve-payment", payment["id"], "--outcome", "succeeded", *WHY)
    decision = (*decision, "--provider-ref", "ch_1")
    done = await cli(*decision)
    assert (done.code, "status\tsucceeded\n" in done.out) == (0, True), done.err
    again = await cli(*decision)
    assert (again.code, again.out) == (1, "")
    assert again.err == "service admin: The payment is not in review, or no longer\n"
    detail = (await cli("get-payment-detail", payment["id"], "--json")).body
    assert detail["payment"]["captured"] == payment["amount"]
    [action] = detail["actions"]
    assert (action["actor"], action["reason"]) == ("cli:olga", "seen at the provider")
    await harness.sound()


async def test_a_decision_is_repeated_safely_under_a_key(harness: Api, cli: Cli) -> None:
    async with harness.client() as customer:
        refund = await refund_in_review(harness, customer)
    decision = ("resolve-refund", refund["id"], "--outcome", "failed", *WHY, "--key", "k1")
    first = await cli(*decision)
    again = await cli(*decision)
    assert (first.code, "status\tfailed\n" in first.out) == (0, True)
    assert again.out == f"{first.out}decided before, under this key\n"
    await harness.sound()


async def test_what_a_pipe_gets_is_plain(harness: Api, cli: Cli) -> None:
    async with harness.client() as customer:
        payment = await payment_in_review(harness, customer)
    lines = (await cli("list-review")).out.splitlines()
    assert lines[0].split("\t")[:3] == ["kind", "id", "payment_id"]
    assert lines[1].split("\t")[:3] == ["payment", payment["id"], payment["id"]]
    assert "\x1b" not in (await cli("get-payment-detail", payment["id"])).out


async def test_a_message_is_sent_once_more(harness: Api, cli: Cli) -> None:
    async with harness.client() as customer:
        order = await customer.order(["game-1"])
        (await customer.pay(order["id"])).expect(201)
    await harness.deliver()
    [message] = (await cli("list-outbox", "--state", "delivered", "--json")).body["items"]
    assert (await cli("replay-message", str(message["id"]), *WHY)).code == 0
    assert await harness.deliver() == 1
    missing = await cli("replay-message", "999", *WHY)
    assert (missing.code, missing.err) == (1, "service admin: No such message\n")


async def test_money_that_could_not_be_given_back(harness: Api, cli: Cli) -> None:
    async with harness.client() as customer, aiohttp.ClientSession() as session:
        orphan = await orphan_in_review(harness, customer, Hook(harness.url, session))
        failed = await ungranted(harness, customer)
    queue = (await cli("list-review", "--json")).body["items"]
    assert {(i["kind"], i["id"]) for i in queue} == {
        ("orphan_capture", orphan["id"]), ("grant_refund", failed["id"]),
    }  # fmt: skip
    again = await cli("retry-orphan-capture", orphan["id"], *WHY)
    assert (again.code, "status\tpending\n" in again.out) == (0, True)
    await harness.process()
    [shown] = (await cli("list-orphan-captures", "--json")).body["items"]
    assert shown["status"] == "refunded"
    late = await cli("record-orphan-capture", orphan["id"], *WHY, "--provider-ref", "tr_1")
    assert late.err == "service admin: The orphan capture is not in review, or no longer\n"
    done = await cli("record-refund", failed["id"], *WHY, "--provider-ref", "tr_1")
    assert (done.code, "status\tsucceeded\n" in done.out) == (0, True)
    assert (await cli("record-refund", failed["id"], *WHY)).code == 1  # it names no refund
    assert (await cli("list-review", "--json")).body["items"] == []
    await harness.sound()


async def test_a_refund_that_came_back_is_dismissed(harness: Api, cli: Cli) -> None:
    async with harness.client("ada") as customer, aiohttp.ClientSession() as session:
        refund = await came_back(harness, customer, Hook(harness.url, session))
    [item] = (await cli("list-review", "--json")).body["items"]
    assert (item["kind"], item["id"]) == ("refund_reversal", refund["id"])
    done = await cli("dismiss-refund", refund["id"], *WHY)
    assert (done.code, "status\tfailed\n" in done.out) == (0, True)
    late = await cli("dismiss-refund", refund["id"], *WHY)
    assert late.code == 1
    assert (await cli("list-review", "--json")).body["items"] == []


async def test_parked_events_are_decided(harness: Api, cli: Cli) -> None:
    async with aiohttp.ClientSession() as session:
        event = await parked(harness, Hook(harness.url, session), lost_record())
    which = ("--provider", "simulator", "--event-id", event, *WHY)
    assert event in (await cli("list-parked-webhooks")).out
    assert (await cli("replay-parked-webhook", *which)).code == 0
    early = await cli("dismiss-parked-webhook", *which)
    assert (early.code, early.err) == (
        1, "service admin: The event is not parked, or no longer\n",
    )  # fmt: skip
    await harness.process()
    done = await cli("dismiss-parked-webhook", *which)
    assert (done.code, "status\tdismissed\n" in done.out) == (0, True)


async def test_parked_events_are_dismissed_in_bulk(harness: Api, cli: Cli) -> None:
    for number in range(5):
        await parked_long_ago(harness, f"evt_{number}", "t.x", named=number == 0)
    dismiss = ("dismiss-parked-webhooks", "--provider", "simulator", "--json", *WHY)
    reply = await cli(*dismiss, "--type", "t.y")
    assert (reply.code, reply.body) == (0, {"dismissed": 0, "more": False})
    reply = await cli(*dismiss, "--parked-before", "2030-01-01T00:00:00Z")
    assert (reply.code, reply.body["dismissed"]) == (0, 4)
    reply = await cli(*dismiss, "--named")
    assert reply.body["dismissed"] == 1


async def test_the_books_are_compared_here_and_now(
    harness: Api, cli: Cli, simulator: Control
) -> None:
    async with harness.client() as customer:
        order = await customer.order(["game-1"])
        (await customer.pay(order["id"])).expect(201)
    await harness.deliver()
    await asyncio.sleep(1.1)  # the provider's clock has whole seconds, and lists end before now
    found = await cli("reconcile", *WHY, "--json")
    assert (found.code, found.body["status"], found.body["charges"]) == (0, "succeeded", 1)
    await simulator.fault("provider.list", "wrong_amount", times=1)
    found = await cli("reconcile", *WHY)
    assert (found.code, "differences\t1" in found.out) == (3, True)
    listed = await cli("list-differences", "--json")
    assert listed.code == 3
    assert [d["kind"] for d in listed.body["items"]] == ["amount_differs"]
    await simulator.fault("provider.list", "status", status=500, times=None)
    failed = await cli("reconcile", *WHY)
    assert (failed.code, "status\tfailed" in failed.out) == (1, True)


@pytest.mark.as_owner
async def test_the_money_is_checked(harness: Api, cli: Cli) -> None:
    good = await cli("get-invariants", "--json")
    assert (good.code, set(good.body["invariants"].values())) == (0, {0})
    async with harness.client() as customer:
        order = await customer.order(["game-1"])
        (await customer.pay(order["id"])).expect(201)
    async with harness.context.db.transaction() as transaction:
        await transaction.fetch("ALTER TABLE payment_events DISABLE TRIGGER USER")
        await transaction.fetch("UPDATE payment_events SET event = 'x' WHERE seq = 1")
    broken = await cli("get-invariants")
    assert broken.code == 3
    assert "broken_event_chains\t1\n" in broken.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resolve-payment", "7", "--outcome", "failed", *WHY], "invalid UUID value"),
        (["resolve-payment", str(uuid4()), "--outcome", "failed", "--note", "x"], "--as"),
        (["resolve-payment", str(uuid4()), "--outcome", "paid", *WHY], "invalid choice"),
        (["retry-refund", str(uuid4()), "--as", "olga", "--note", ""], "note"),
        (["list-review", "--limit", "0"], "limit"),
        ([], "COMMAND"),
    ],
)
async def test_wrong_arguments_are_said(cli: Cli, arguments: list[str], says: str) -> None:
    ended = await cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


async def test_what_is_missing_is_said(cli: Cli, empty_database_url: str) -> None:
    nowhere = await cli("get-payment-detail", str(uuid4()))
    assert (nowhere.code, nowhere.err) == (1, "service admin: No such payment\n")
    unset = await cli("list-review", DATABASE_URL="")
    assert (unset.code, "DATABASE_URL is not set" in unset.err) == (2, True)
    down = await cli("list-review", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")
    assert (down.code, down.err) == (
        1,
        "service admin: The database does not answer; see whether DATABASE_URL is right and the "
        "role migrate has run\n",
    )
    old = await cli("list-review", DATABASE_URL=empty_database_url)
    assert old.code == 1
    assert "migrate" in old.err
    assert "Traceback" not in old.err


async def test_help_names_every_command(cli: Cli) -> None:
    ended = await cli("--help")
    assert ended.code == 0
    operators = [endpoint for endpoint in ROUTES if endpoint.scope == ADMIN]
    names = [endpoint.handler.__name__.replace("_", "-") for endpoint in operators]
    assert len(names) > 30
    for command in (*names, "reconcile", "verify-audit"):
        assert re.search(rf"^    {command}$|^    {command}\s", ended.out, re.MULTILINE)
