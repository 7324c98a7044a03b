"""The one schedule of every repeat: bounded, growing, and different for each who waits."""

import ast
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import service
from service.retry import full_jitter_s


@given(st.integers(1, 10_000), st.floats(0.001, 60), st.floats(0.001, 100_000), st.floats(0, 1))
def test_a_wait_is_between_nothing_and_the_bound_of_its_try(
    tries: int, first_s: float, most_s: float, fraction: float
) -> None:
    wait_s = full_jitter_s(tries, first_s=first_s, most_s=most_s, random=lambda: fraction)
    assert 0 <= wait_s <= most_s
    if tries < 60:
        assert wait_s <= first_s * 2 ** (tries - 1)


@pytest.mark.parametrize(
    ("tries", "longest_s"), [(1, 5), (2, 10), (3, 20), (10, 2_560), (11, 3_600), (5_000, 3_600)]
)
def test_the_bound_doubles_up_to_the_most(tries: int, longest_s: float) -> None:
    assert full_jitter_s(tries, first_s=5, most_s=3_600, random=lambda: 1.0) == longest_s


def test_waits_spread_evenly_over_the_whole_range() -> None:
    seeded = random.Random(7)  # noqa: S311  the same waits in each run
    waits = [full_jitter_s(3, first_s=1, most_s=60, random=seeded.random) for _ in range(4_000)]
    quarters = [sum(n <= wait < n + 1 for wait in waits) for n in range(4)]
    assert sum(quarters) == 4_000
    assert all(900 < each < 1_100 for each in quarters)


def test_no_other_schedule_is_written_anywhere() -> None:
    found = []
    for path in sorted(Path(service.__file__).parent.rglob("*.py")):
        if path.name != "retry.py":
            tree = ast.walk(ast.parse(path.read_text()))
            found += [f"{path.name}:{line}" for line in filter(None, map(schedule_at, tree))]
    assert found == []


def schedule_at(node: ast.AST) -> int | None:
    """Return the line of a power of two by a variable, or of a pause that grows by a factor."""
    match node:
        case ast.BinOp(left=ast.Constant(value=2 | 2.0), op=ast.Pow(), right=right):
            return None if isinstance(right, ast.Constant) else node.lineno
        case ast.AugAssign(op=ast.Mult(), value=ast.Constant()):
            return node.lineno
    return None
