"""Run the tests and measure how much of service/ they run: `make coverage`.

Arguments are pytest's. Exit code 1 if a test fails, 3 if fewer lines are run than must be.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from scripts import ROOT

FOLDER: Final = ROOT / ".state" / "coverage"
MIN_LINES_PERCENT: Final = 95.0
EXIT_TOO_LITTLE: Final = 3


def main(arguments: Sequence[str]) -> int:
    """Run pytest under coverage.py, combine what all processes saw, judge; return the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _coverage("erase")
    code = _coverage("run", "-m", "pytest", *arguments)
    _coverage("combine", "--quiet")
    _coverage("report")
    _coverage("html", "--quiet", "--directory", str(FOLDER / "html"))
    report = FOLDER / "coverage.json"
    _coverage("json", "--quiet", "-o", str(report))
    verdict, words = judge(json.loads(report.read_text())["totals"])
    print(f"coverage of service/: {words}")
    print(f"line by line: {(FOLDER / 'html' / 'index.html').relative_to(ROOT)}")
    return code or verdict


def judge(totals: dict[str, Any]) -> tuple[int, str]:
    """Return an exit code and the figures in words, from the totals of coverage.py's JSON."""
    lines, branches = (
        100 * totals[done] / max(totals[known], 1)
        for done, known in (
            ("covered_lines", "num_statements"),
            ("covered_branches", "num_branches"),
        )
    )
    words = (
        f"{lines:.1f} % of {totals['num_statements']} lines,"
        f" {branches:.1f} % of {totals['num_branches']} branches"
    )
    if lines < MIN_LINES_PERCENT:
        return EXIT_TOO_LITTLE, f"{words}; {MIN_LINES_PERCENT:g} % of lines must be run"
    return 0, words


def _coverage(*arguments: str) -> int:
    command = [sys.executable, "-m", "coverage", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
