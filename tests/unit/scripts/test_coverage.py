"""The verdict of `make coverage`."""

from typing import Any

import pytest

from scripts.coverage import EXIT_TOO_LITTLE, judge


def totals(lines: int) -> dict[str, Any]:
    return {
        "num_statements": 200,
        "covered_lines": lines,
        "num_branches": 40,
        "covered_branches": 30,
    }


@pytest.mark.parametrize(("lines", "code"), [(190, 0), (189, EXIT_TOO_LITTLE)])
def test_lines_are_judged_and_branches_are_said(lines: int, code: int) -> None:
    found, words = judge(totals(lines))
    assert found == code
    assert f"{lines / 2:.1f} % of 200 lines, 75.0 % of 40 branches" in words
