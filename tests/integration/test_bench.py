"""pgbench pays for real: whatever the statements become, the benchmark goes with them."""

from pathlib import Path

import psycopg2
import pytest

from bench import money, orders, pgbench
from bench.relay import relay


@pytest.mark.parametrize("script", list(pgbench.Script))
def test_pgbench_makes_the_payments_that_it_counts(
    owner_url: str, tmp_path: Path, script: pgbench.Script
) -> None:
    clients = 2
    pgbench.make_orders(owner_url, script, clients, series=1, count=8_000)
    with relay(owner_url) as (relayed, url):
        found = pgbench.run(url, script, clients, series=1, seconds=1, folder=tmp_path)
        counts = relayed.counts()
    assert found.rate > 0
    assert orders.paid(owner_url) == found.payments > 0
    assert orders.under_way(owner_url) == 0
    assert set(money.violations(owner_url).values()) == {0}
    statements = 22 if script is pgbench.Script.PLAIN else 2
    assert counts.statements >= statements * found.payments // script.payments
    assert counts.transactions >= 2 * found.payments // script.payments


def test_money_that_is_not_right_is_reported(owner_url: str) -> None:
    before = dict.fromkeys(money.violations(owner_url), 0)
    money.check(owner_url, before)
    with pytest.raises(RuntimeError, match="unbalanced_ledger: 1"):
        money.check(owner_url, before | {"unbalanced_ledger": -1})


def test_a_relay_ends_quietly_with_connections_open(
    owner_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with relay(owner_url) as (relayed, url):
        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            before = relayed.counts()
            cursor.execute("SELECT 1; SELECT 2")
            after = relayed.counts()
    connection.close()
    assert (after.statements - before.statements) == 3  # and BEGIN
    assert (after.round_trips - before.round_trips) == 2
    assert capfd.readouterr().err == ""
