"""Planted leaks are found, and what only looks like one is not."""

import math
import random
from collections.abc import Callable

import pytest

from loadtest.slopes import Rule, Series, Trend, leaks, least_found, trend

RULE = Rule("MiB", per_hour=0.05, floor=4.0, why="of the test")
RUN_S = 600.0
EVERY_S = 5.0
LEVEL = 100.0
SEEDS = 40
BY_CHANCE = 1
Shape = Callable[[float, random.Random], float]


def series(shape: Shape, seed: int = 1, run_s: float = RUN_S) -> Series:
    dice = random.Random(seed)  # noqa: S311  noise
    times = [number * EVERY_S for number in range(int(run_s / EVERY_S))]
    return Series(times, [shape(time, dice) for time in times])


def found(shape: Shape, seed: int = 1, run_s: float = RUN_S) -> Trend:
    result = trend(series(shape, seed, run_s))
    assert result is not None
    return result


def flat(_time: float, dice: random.Random) -> float:
    return LEVEL + dice.gauss(0, 2)


def leak(per_hour: float) -> Shape:
    return lambda time, dice: flat(time, dice) + per_hour * time / 3_600


def warm_up(time: float, dice: random.Random) -> float:
    return flat(time, dice) - 40 * (time < 100)


def settling(time: float, dice: random.Random) -> float:
    # caches fill: half of the rest each 45 s
    return flat(time, dice) - 40 * math.pow(0.5, time / 45)


def saw_tooth(time: float, dice: random.Random) -> float:
    """Garbage grows by a fifth in 70 s and is collected."""
    return flat(time, dice) + 20 * (time % 70) / 70


def spikes(time: float, dice: random.Random) -> float:
    return flat(time, dice) + 200 * (dice.random() < 0.05)


def falling(time: float, dice: random.Random) -> float:
    return flat(time, dice) - 20 * time / RUN_S


def step_in_the_middle(time: float, dice: random.Random) -> float:
    # a pool that grew once, and stays as it is
    return flat(time, dice) + 10 * (time > 380)


@pytest.mark.parametrize(
    "shape", [flat, warm_up, settling, saw_tooth, spikes, falling, step_in_the_middle]
)
def test_what_is_no_leak_passes(shape: Shape) -> None:
    wrong = [seed for seed in range(SEEDS) if leaks(found(shape, seed), RULE)]
    assert len(wrong) <= BY_CHANCE, wrong


@pytest.mark.parametrize(
    ("noise", "planted"), [(flat, 15), (warm_up, 15), (spikes, 25), (settling, 15), (saw_tooth, 60)]
)
def test_a_planted_leak_is_found(noise: Shape, planted: float) -> None:
    """So many MiB in ten minutes, in noise that goes over several."""

    def rising(time: float, dice: random.Random) -> float:
        return noise(time, dice) + planted * time / RUN_S

    missed = [seed for seed in range(SEEDS) if not leaks(found(rising, seed), RULE)]
    assert len(missed) <= BY_CHANCE, missed


def test_a_small_leak_is_found_in_a_long_run() -> None:
    assert leaks(found(leak(7.0), run_s=4 * 3_600), RULE)


def test_one_within_the_limit_passes_however_certain_it_is() -> None:
    slow = found(leak(3.0), run_s=4 * 3_600)
    assert slow.certain
    assert not leaks(slow, RULE)


def test_the_slope_is_that_of_the_leak() -> None:
    rising = found(leak(60.0))
    assert rising.slope == pytest.approx(60, rel=0.25)
    assert rising.low < rising.slope
    assert rising.rise == pytest.approx(rising.slope * (rising.to_s - rising.from_s) / 3_600)
    assert rising.at(rising.to_s) - rising.at(rising.from_s) == pytest.approx(rising.rise)


def test_a_slope_without_noise_is_exact() -> None:
    exact = trend(Series([float(n) for n in range(100)], [2.0 * n for n in range(100)]))
    assert exact is not None
    assert exact.slope == pytest.approx(7_200)
    assert exact.low == pytest.approx(7_200)
    assert exact.certain


def test_a_constant_measure_has_no_trend() -> None:
    constant = found(lambda _time, _dice: 7.0)
    assert (constant.slope, constant.certain) == (0, False)
    assert not leaks(constant, RULE)


def test_too_few_samples_tell_nothing() -> None:
    assert trend(series(flat, run_s=50)) is None
    assert trend(Series([], [])) is None


def test_samples_that_failed_are_left_out() -> None:
    broken = series(lambda time, dice: math.nan if dice.random() < 0.3 else leak(60)(time, dice))
    result = trend(broken)
    assert result is not None
    assert leaks(result, RULE)


def test_a_run_says_what_it_could_have_found() -> None:
    """In 7.5 minutes that count, 4 MiB are 32 MiB an hour; in a long run the ratio decides."""
    assert least_found(found(flat), RULE) == pytest.approx(32, rel=0.05)
    assert least_found(found(flat, run_s=8 * 3_600), RULE) == pytest.approx(5, rel=0.05)
