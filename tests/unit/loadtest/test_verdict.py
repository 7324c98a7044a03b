"""One fault at a time is enough to fail a run, and the verdict says which."""

from collections.abc import Callable

import pytest

from loadtest.measured import Recording
from loadtest.money import Money
from loadtest.profile import DOUBLE, FULL, PROFILES, SHORT, SMOKE, Profile, least_throughput
from loadtest.results import PAY_REQUEST, parse
from loadtest.verdict import Check, Verdict, evaluate, own_p95_s
from service.slo import LOAD_P95_AT_USERS, LOAD_USERS
from tests.unit.loadtest.examples import HEALTH_REQUEST, Raw, money, raw_run, row


def failed(verdict: Verdict) -> list[Check]:
    return [check for check in verdict.checks if not check.passed]


def busy_run(profile: Profile, times_ms: int = 20) -> Raw:
    """Return a run in which the peak has all the requests that its users can make."""
    count = round(least_throughput(profile, profile.peak_phase, 0) * 1.1)
    count *= profile.phases[profile.peak_phase].duration_s
    return raw_run(profile) | {
        "measured": [row(profile.peak_phase, 0, PAY_REQUEST, {str(times_ms): count})]
    }


@pytest.mark.parametrize("profile", [FULL, DOUBLE, SHORT], ids=lambda profile: profile.name)
def test_a_good_run_of_each_profile_passes(profile: Profile) -> None:
    verdict = evaluate(profile, parse(busy_run(profile), profile), money())
    assert verdict.passed, failed(verdict)


def test_a_good_smoke_run_passes() -> None:
    verdict = evaluate(SMOKE, parse(raw_run(), SMOKE), money())
    assert verdict.passed, failed(verdict)


def test_a_verdict_without_checks_is_no_pass() -> None:
    assert not Verdict(()).passed


def slow(raw: Raw) -> None:
    raw["measured"].append(row(1, 0, HEALTH_REQUEST, {"2000": 600}))


def slow_payments(raw: Raw) -> None:
    raw["measured"].append(row(1, 0, PAY_REQUEST, {"2500": 200}))


def failing(raw: Raw) -> None:
    raw["measured"][1]["failures"] = 33  # of 3,300: exactly 1 %


def one_failure(raw: Raw) -> None:
    raw["measured"][1]["failures"] = 1


def no_payment(raw: Raw) -> None:
    raw["measured"] = [one for one in raw["measured"] if one["kind"] != PAY_REQUEST]


def only_failed_payments(raw: Raw) -> None:
    for one in raw["measured"]:
        one["failures"] = sum(one["times_ms"].values())


def too_few_users(raw: Raw) -> None:
    raw["users"] = [[5.0, 18]]


def no_users(raw: Raw) -> None:
    raw["users"] = []


def nothing_at_all(raw: Raw) -> None:
    raw["measured"] = []


def idle_peak(raw: Raw) -> None:
    raw["measured"] = [one for one in raw["measured"] if one["phase"] != SMOKE.peak_phase]


def equal_shares(raw: Raw) -> None:
    raw["tasks"] = dict.fromkeys(raw["tasks"], 350)


def no_tasks(raw: Raw) -> None:
    raw["tasks"] = {}


def broken_load_test(raw: Raw) -> None:
    raw["exceptions"] = [{"count": 1, "message": "KeyError: 'id'"}]


def a_worker_is_gone(raw: Raw) -> None:
    raw["workers"] = 0


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (slow, "P95 of all requests"),
        (slow_payments, "P95 of payments"),
        (failing, "failed requests"),
        (one_failure, "failed requests, our own target"),
        (no_payment, "payments made"),
        (no_payment, "P95 of payments"),
        (only_failed_payments, "payments made"),
        (too_few_users, "users at the peak"),
        (no_users, "users at the peak"),
        (nothing_at_all, "P95 of all requests"),
        (nothing_at_all, "failed requests"),
        (idle_peak, "throughput with 20 users"),
        (equal_shares, "share of complete payment flow"),
        (equal_shares, "share of health"),
        (no_tasks, "share of complete payment flow"),
        (broken_load_test, "errors in the load test itself"),
        (a_worker_is_gone, "workers that reported to the end"),
    ],
)
def test_one_fault_fails_the_run(fault: Callable[[Raw], None], check: str) -> None:
    raw = raw_run()
    fault(raw)
    verdict = evaluate(SMOKE, parse(raw, SMOKE), money())
    assert check in [found.name for found in failed(verdict)]


@pytest.mark.parametrize(
    ("found", "check"),
    [
        (money({"ledger_balanced": 1}), "invariant: ledger_balanced"),
        (money(pending={"outbox": 2}), "left over: outbox"),
        (money(pending={"unresolved_payments": 1}), "left over: unresolved payments"),
        (money({}), "money invariants known"),
        (money(error="failed: library: timed out"), "reconciliation"),
        (money(charges=2_999), "charges at the provider, reconciled"),
        (money(differences=("missing_there at simulator",)), "open differences"),
    ],
)
def test_wrong_books_fail_the_fastest_run(found: Money, check: str) -> None:
    verdict = evaluate(SMOKE, parse(raw_run(), SMOKE), found)
    assert [one.name for one in failed(verdict)] == [check]


def test_our_own_targets_begin_with_their_users() -> None:
    assert [own_p95_s(users) for users in (20, 1_499, 1_500, 2_999, 3_000, 5_000)] == [
        *(None, None, 0.2, 0.2, 0.5, 0.5)
    ]
    assert {profile.peak_users for profile in (FULL, DOUBLE)} == set(LOAD_P95_AT_USERS)


@pytest.mark.parametrize(("profile", "limit_ms"), [(FULL, 200), (DOUBLE, 500)])
def test_the_peak_is_judged_by_its_own_requests(profile: Profile, limit_ms: int) -> None:
    """The easy phases before would hide them."""
    users = f"{profile.peak_users:,} users"
    wanted = {f"P95 of all requests with {users}", f"P95 of payments with {users}"}

    def verdict(times_ms: int) -> set[str]:
        raw = busy_run(profile, times_ms)
        raw["measured"].append(row(0, 0, PAY_REQUEST, {"5": 10_000_000}))
        results = parse(raw, profile)
        assert results.total.quantile_s(0.95) == 0.005
        return {one.name for one in failed(evaluate(profile, results, money(charges=10**8)))}

    assert verdict(limit_ms) == set()
    assert verdict(limit_ms + 1) == wanted


def test_a_thousand_users_are_wanted_where_the_profile_has_them() -> None:
    raw = busy_run(FULL) | {"users": [[5.0, LOAD_USERS - 1]]}
    names = {one.name for one in failed(evaluate(FULL, parse(raw, FULL), money()))}
    assert names == {"users at the peak", "concurrent users"}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_a_queue_before_a_slow_service_misses_the_throughput(profile: Profile) -> None:
    """Users who wait ask for less: the same users, each answer twice as late as the target."""
    peak = profile.peak_phase
    target_s = own_p95_s(profile.peak_users) or 2.0
    made = least_throughput(profile, peak, 2 * target_s) * profile.phases[peak].duration_s
    raw = raw_run(profile) | {"measured": [row(peak, 0, PAY_REQUEST, {"20": int(made)})]}
    verdict = evaluate(profile, parse(raw, profile), money())
    assert f"throughput with {profile.peak_users:,} users" in {one.name for one in failed(verdict)}


def test_recordings_of_workers_add_up() -> None:
    one, other = Recording(SMOKE), Recording(SMOKE)
    one.record(PAY_REQUEST, 16.0, 20.4, failed=False)
    other.record(PAY_REQUEST, 16.9, 20.0, failed=True)
    one.add(other.take())
    assert one.take() == [row(1, 0, PAY_REQUEST, {20: 2}, failures=1)]  # type: ignore[dict-item]
    assert one.take() == other.take() == []
