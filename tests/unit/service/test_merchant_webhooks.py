"""When a delivery is tried again: by the schedule, never earlier, and not for ever."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.retry import retry_after_s
from service.usecases.merchant_webhooks import SCHEDULE_S, wait_s

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY_S = 86_400.0


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    starts = [timedelta()]
    for tries in range(1, 10):
        wait = wait_s(tries, 0.0, 0.0)
        assert wait is not None
        starts.append(starts[-1] + timedelta(seconds=wait))
    assert [str(start.total_seconds()) for start in starts] == [
        "0.0", "5.0", "305.0", "2105.0", "9305.0", "27305.0", "63305.0", "113705.0", "185705.0",
        "272105.0",
    ]  # fmt: skip
    assert wait_s(10, 0.0, 0.0) is None


@given(st.integers(1, 9), st.floats(0, 1e12), st.floats(0, 1))
def test_a_wait_is_never_shorter_than_planned_nor_longer_than_a_day_asked_for(
    tries: int, asked_s: float, fraction: float
) -> None:
    planned, wait = SCHEDULE_S[tries - 1], wait_s(tries, asked_s, fraction)
    assert wait is not None
    assert planned <= wait <= max(planned * 1.1, DAY_S)
    assert wait >= min(asked_s, DAY_S)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0.0),
        ("120", 120.0),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("٣", 0.0),
        ("9" * 5_000, 999_999_999.0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:03:05 GMT", 0.0),
        ("Fri, 02 Jan 2026 03:05:05", 60.0),
        ("soon", 0.0),
        ("Fri, 99 Jan 99999 03:05:05 GMT", 0.0),
    ],
)
def test_retry_after_in_every_form(text: str, seconds: float) -> None:
    assert retry_after_s(text, NOW) == seconds
