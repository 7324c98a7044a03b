"""One fault at a time is enough to fail a run, and the verdict says which."""

from collections.abc import Callable
from typing import Any

import pytest

from loadtest.profile import SMOKE
from loadtest.results import parse
from loadtest.verdict import Check, Money, Verdict, evaluate
from tests.unit.loadtest.examples import entry, no_violations, raw_run

Raw = dict[str, Any]


def failed(verdict: Verdict) -> list[Check]:
    return [check for check in verdict.checks if not check.passed]


def test_a_good_run_passes() -> None:
    verdict = evaluate(SMOKE, parse(raw_run()), no_violations())
    assert verdict.passed, failed(verdict)


def test_a_verdict_without_checks_is_no_pass() -> None:
    assert not Verdict(()).passed


def slow(raw: Raw) -> None:
    raw["total"]["response_times"] = {"20": 940, "2000": 160}


def slow_payments(raw: Raw) -> None:
    raw["entries"][1]["response_times"] = {"20": 900, "2500": 100}


def failing(raw: Raw) -> None:
    raw["total"]["num_failures"] = 11  # of 1,100: exactly 1 %


def no_payment(raw: Raw) -> None:
    raw["entries"] = raw["entries"][:1]


def only_failed_payments(raw: Raw) -> None:
    raw["entries"][1]["num_failures"] = 1000


def too_few_users(raw: Raw) -> None:
    raw["history"] = [{**raw["history"][1], "user_count": ["", 18]}]


def no_history(raw: Raw) -> None:
    raw["history"] = []


def nothing_at_all(raw: Raw) -> None:
    raw["total"], raw["entries"] = entry("", "Aggregated", {}), []


def equal_shares(raw: Raw) -> None:
    raw["tasks"] = dict.fromkeys(raw["tasks"], 350)


def no_tasks(raw: Raw) -> None:
    raw["tasks"] = {}


def broken_load_test(raw: Raw) -> None:
    raw["exceptions"] = [{"count": 1, "message": "KeyError: 'id'"}]


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (slow, "P95 of all requests"),
        (slow_payments, "P95 of payments"),
        (failing, "failed requests"),
        (no_payment, "payments made"),
        (no_payment, "P95 of payments"),
        (only_failed_payments, "payments made"),
        (too_few_users, "users at the peak"),
        (no_history, "users at the peak"),
        (nothing_at_all, "P95 of all requests"),
        (equal_shares, "share of complete payment flow"),
        (equal_shares, "share of health"),
        (no_tasks, "share of complete payment flow"),
        (broken_load_test, "errors in the load test itself"),
    ],
)
def test_one_fault_fails_the_run(fault: Callable[[Raw], None], check: str) -> None:
    raw = raw_run()
    fault(raw)
    assert check in [found.name for found in failed(evaluate(SMOKE, parse(raw), no_violations()))]


@pytest.mark.parametrize(
    ("money", "check"),
    [
        (Money({"ledger_balanced": 1}, {"outbox": 0}), "invariant: ledger_balanced"),
        (Money({"ledger_balanced": 0}, {"outbox": 2}), "left over: outbox"),
        (
            Money({"ledger_balanced": 0}, {"unresolved_payments": 1}),
            "left over: unresolved payments",
        ),
        (Money({}, {"outbox": 0}), "money invariants known"),
    ],
)
def test_wrong_books_fail_the_fastest_run(money: Money, check: str) -> None:
    assert [found.name for found in failed(evaluate(SMOKE, parse(raw_run()), money))] == [check]
