"""What judges the cluster's events: it has to find what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import report
from tests.cluster.load import Seen, seen_in
from tests.cluster.money import Books, Money, judge
from tests.cluster.report import Row

PAYMENT = ("p1", "o1", "succeeded", "ch1", 500, 0, 100.5)
CHARGE = {"id": "ch1", "amount_captured": 500, "amount_refunded": 0, "created": 100}
GRANT = {"order_id": "o1", "revoked": False}


def judged(
    payments: list[tuple[Any, ...]], charges: list[dict[str, Any]], grants: list[dict[str, Any]]
) -> Money:
    return judge(Books(payments, charges, grants), ["o1"], [])


def test_a_sale_that_both_sides_know_is_right() -> None:
    assert judged([PAYMENT], [CHARGE], [GRANT]).right


@pytest.mark.parametrize(
    ("payments", "charges", "grants", "wrong"),
    [
        (
            [PAYMENT, ("p2", "o1", "succeeded", "ch2", 500, 0, 101.0)],
            [CHARGE, {**CHARGE, "id": "ch2"}],
            [GRANT],
            ("double_charges", ["o1"]),
        ),
        ([PAYMENT], [CHARGE, {**CHARGE, "id": "ch2"}], [GRANT], ("unmatched_charges", ["ch2"])),
        ([PAYMENT], [], [GRANT], ("unmatched_charges", ["ch1"])),
        ([PAYMENT], [{**CHARGE, "amount_captured": 400}], [GRANT], ("unmatched_charges", ["ch1"])),
        ([PAYMENT], [{**CHARGE, "amount_refunded": 1}], [GRANT], ("unmatched_charges", ["ch1"])),
        ([PAYMENT], [CHARGE], [], ("ungranted", ["p1"])),
        ([PAYMENT], [CHARGE], [{**GRANT, "revoked": True}], ("ungranted", ["p1"])),
    ],
)
def test_what_is_wrong_is_found(
    payments: list[tuple[Any, ...]],
    charges: list[dict[str, Any]],
    grants: list[dict[str, Any]],
    wrong: tuple[str, list[str]],
) -> None:
    found = judged(payments, charges, grants)
    assert not found.right
    name, expected = wrong
    assert getattr(found, name) == expected


def test_a_broken_invariant_is_wrong() -> None:
    assert not judge(Books([], [], []), [], [("orders_paid_once", "1")]).right


def test_a_payment_that_was_accepted_is_not_forgotten() -> None:
    assert judge(Books([], [], []), ["o1"], []).forgotten == ["o1"]


def test_a_charge_that_was_given_back_is_nobodys() -> None:
    failed = ("p1", "o1", "failed", None, 0, 0, 100.5)
    assert judged([failed], [{**CHARGE, "amount_refunded": 500}], []).right


@pytest.mark.parametrize("began", [100.0, 100.4, 100.6, 101.0])
def test_a_sale_at_the_beginning_is_looked_at_from_both_sides(began: float) -> None:
    """A charge's time is of whole seconds."""
    assert judge(Books([PAYMENT], [CHARGE], [GRANT]), [], [], began).right


def test_what_was_forgotten_before_the_beginning_is_not_wrong() -> None:
    assert judge(Books([PAYMENT], [], []), [], [], 101.0).right
    assert not judge(Books([PAYMENT], [], []), [], [], 100.0).right


def test_the_longest_gap_is_between_successes() -> None:
    lines = [
        {"at": 1.0, "ok": True, "seconds": 0.1, "why": ""},
        {"at": 2.0, "ok": False, "seconds": 0.1, "why": "503"},
        {"at": 4.5, "ok": True, "seconds": 0.1, "why": ""},
        {"at": 5.0, "ok": True, "seconds": 0.1, "why": ""},
        {"orders": ["o1"], "lost": 2},
    ]
    seen = seen_in("\n".join(map(json.dumps, lines)))
    assert (seen.requests, seen.failures, seen.gap_s, seen.lost) == (4, 1, 3.5, 2)
    assert seen.ended
    assert seen.why == {"503": 1}


def test_the_table_has_a_line_an_event(tmp_path: Path) -> None:
    seen = Seen(requests=7, failures=1, gap_s=2.25)
    row = Row.of("an event", seen, Money(["o1"], [], ["p1", "p2"], [], []))
    report.write(tmp_path / "table.md", [row])
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[-1] == "| an event | 7 | 1 | 2.2 s | 1 | 0 | 2 |"
    assert lines[-3].count("|") == lines[-1].count("|")
