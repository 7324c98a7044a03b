"""The schedule of an open model, and what is passed between the command and its generators."""

import random
import stat
from pathlib import Path
from statistics import mean, pvariance

import msgspec
import pytest

from loadtest.arrivals import Arrival, Batch, OpenPlan, Outcome, Stage, classify, read_open_plan

STAGE = Stage(3, 500.0, 200.0, 50.0)


def due(stage: Stage, seed: int = 1) -> list[float]:
    return list(stage.due(random.Random(seed)))  # noqa: S311  a schedule


def test_arrivals_come_at_the_rate_of_the_stage_and_within_it() -> None:
    times = due(STAGE)
    assert len(times) == pytest.approx(10_000, rel=0.04)
    assert times == sorted(times)
    assert STAGE.starts_at < times[0]
    assert times[-1] < STAGE.ends_at == 550.0


def test_arrivals_are_a_poisson_process() -> None:
    """Their number in a second has its mean as its variance; even arrivals would have none."""
    counts = [0] * 50
    for at in due(STAGE):
        counts[int(at - STAGE.starts_at)] += 1
    assert pvariance(counts) == pytest.approx(mean(counts), rel=0.5)


def test_a_split_stage_has_the_same_rate_in_all() -> None:
    parts = [due(STAGE.split(4), seed) for seed in range(4)]
    assert sum(map(len, parts)) == pytest.approx(10_000, rel=0.04)
    assert len({part[0] for part in parts}) == 4


def test_no_rate_is_no_arrival() -> None:
    assert due(Stage(1, 0.0, 0.0, 10.0)) == []


def test_a_batch_survives_the_pipe() -> None:
    batch = Batch(7, [Arrival(1, 2.5, 0.001, 0.2, Outcome.SHED, None, "order: 503 overloaded")])
    assert msgspec.json.decode(msgspec.json.encode(batch), type=Batch) == batch


def test_a_plan_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    plan = OpenPlan(1, 10, ("a token",))
    plan.write(tmp_path / "plan.json")
    assert read_open_plan(tmp_path / "plan.json") == plan
    assert stat.S_IMODE((tmp_path / "plan.json").stat().st_mode) == 0o600


PROBLEM = "application/problem+json"
OVERLOADED = b'{"code": "overloaded"}'


def test_a_refusal_as_it_should_be_is_shed() -> None:
    assert classify(503, PROBLEM, "1", OVERLOADED) == (Outcome.SHED, "503 overloaded")


@pytest.mark.parametrize(
    ("status", "content_type", "retry_after", "body", "what"),
    [
        (503, PROBLEM, None, OVERLOADED, "503 overloaded without Retry-After"),
        (503, PROBLEM, "0", OVERLOADED, "503 overloaded without Retry-After"),
        (503, PROBLEM, "soon", OVERLOADED, "503 overloaded without Retry-After"),
        (503, "text/html", "1", OVERLOADED, "503 overloaded"),
        (503, None, "1", b"", "503 no problem document"),
        (503, PROBLEM, "2", b'{"code": "request_timeout"}', "503 request_timeout"),
        (503, PROBLEM, "2", b"[]", "503 no problem document"),
        (500, PROBLEM, "1", b'{"code": "internal_error"}', "500 internal_error"),
        (429, PROBLEM, "1", b'{"code": "rate_limited"}', "429 rate_limited"),
    ],
)
def test_every_other_answer_is_a_failure(
    status: int, content_type: str | None, retry_after: str | None, body: bytes, what: str
) -> None:
    assert classify(status, content_type, retry_after, body) == (Outcome.FAILED, what)
