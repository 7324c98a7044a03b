"""Numbers are written as Grafana writes them."""

import math

import pytest

from dashboards.grafana import UNITS
from scripts.pictures import units


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0, "s", "0 s"),
        (0.0123, "s", "12.3 ms"),
        (0.00042, "s", "420 µs"),
        (5, "s", "5 s"),
        (90, "s", "1.5 mins"),
        (3600, "s", "1 hour"),
        (172_800, "s", "2 days"),
        (0.9954, "percentunit", "99.5%"),
        (1, "percentunit", "100%"),
        (0.00012, "percentunit", "0.012%"),
        (3.14159, "ops", "3.14 ops/s"),
        (0.05, "ops", "0.05 ops/s"),
        (12_345, "ops", "12.3 Kops/s"),
        (0, "short", "0"),
        (1999, "short", "2 K"),
        (2_500_000, "short", "2.5 Mil"),
        (512, "bytes", "512 B"),
        (104_857_600, "bytes", "100 MiB"),
        (14.4, "suffix:x", "14.4 x"),
        (-2, "short", "-2"),
        (math.nan, "short", "NaN"),
        (math.inf, "s", "∞"),
        (-math.inf, "s", "-∞"),
    ],
)
def test_a_value_has_its_unit(value: float, unit: str, written: str) -> None:
    assert units.text(value, unit) == written


@pytest.mark.parametrize("unit", UNITS.values())
def test_every_unit_of_a_panel_can_be_written(unit: str) -> None:
    assert units.text(1.5, unit).startswith("1")


def test_a_unit_that_nobody_writes_is_refused() -> None:
    with pytest.raises(KeyError):
        units.text(1, "furlongs")
