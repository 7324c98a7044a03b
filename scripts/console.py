"""Output of the scripts: aligned lines, with colors on a terminal and plain text elsewhere."""

import argparse
import sys
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.text import Text

PLAIN_WIDTH: Final = 100  # of tables in a log file; a terminal has its own width
PART_WIDTH: Final = 12


def make(*, quiet: bool = False) -> Console:
    terminal = sys.stdout.isatty()
    return Console(
        quiet=quiet,
        highlight=False,
        no_color=None if terminal else True,
        width=None if terminal else PLAIN_WIDTH,
    )


def parser(module: str, about: str | None) -> argparse.ArgumentParser:
    """Return an empty parser of a module's arguments; `about` is its docstring."""
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(f"python -m {module}", description=about, formatter_class=raw)


def show(lines: Iterable[tuple[str, str]]) -> None:
    screen = make()
    for text, style in lines:
        screen.print(Text(text, style=style), soft_wrap=True)


def done(console: Console, what: str, seconds: float, detail: str = "") -> None:
    line = Text.assemble(
        ("  ✓ ", "bold green"), f"{what:<{PART_WIDTH}}", (f"{seconds:6.2f} s  ", "dim"), detail
    )
    console.print(line, soft_wrap=True)


def error(program: str, error: object) -> None:
    sys.stderr.write(f"{program}: {error}\n")


def note(text: str) -> None:
    """Print progress to stderr: stdout belongs to the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
