"""Side A of the benchmark pays for real: whatever the statements become, it goes with them."""

from pathlib import Path

from bench import one_by_one, orders


def test_pgbench_makes_the_payments_that_it_counts(owner_url: str, tmp_path: Path) -> None:
    for client in range(one_by_one.CLIENTS):
        start = client * one_by_one.SPACE
        orders.make(owner_url, round_=1, start=start + 1, stop=start + 2_000)
    rate, count = one_by_one.run(owner_url, round_=1, seconds=1, folder=tmp_path)
    assert rate > 0
    assert orders.paid(owner_url) == count > 0
    assert orders.under_way(owner_url) == 0
