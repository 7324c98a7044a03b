"""A generated file that is stale, missing or left over is found; a fresh one is not."""

import sys
from pathlib import Path

import pytest

from scripts import generated


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.yaml").write_text("x: 1\n")
    return tmp_path


def check(root: Path, program: str) -> int:
    return generated.check(root, ["out"], [sys.executable, "-c", program])


def test_fresh_files_pass(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(root, "open('out/a.yaml', 'w').write('x: 1\\n')") == 0
    assert capsys.readouterr().out == "generated: 1 files are fresh\n"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("open('out/a.yaml', 'w').write('x: 2\\n')", "out/a.yaml: is stale"),
        ("open('out/b.yaml', 'w').write('')", "out/b.yaml: is generated and not there"),
        (
            "import os; os.remove('out/a.yaml')",
            "out/a.yaml: is there and no longer generated",
        ),
    ],
)
def test_what_differs_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], program: str, said: str
) -> None:
    assert check(root, program) == 1
    assert said in capsys.readouterr().err


def test_the_difference_itself_is_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(root, "open('out/a.yaml', 'w').write('x: 2\\n')")
    assert "-x: 1\n+x: 2\n" in capsys.readouterr().err


def test_a_render_that_fails_is_not_called_stale(root: Path) -> None:
    assert check(root, "raise SystemExit(3)") == 2


def test_no_generated_file_at_all_is_a_failure(tmp_path: Path) -> None:
    assert check(tmp_path, "") == 1
