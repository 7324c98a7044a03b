"""Output of the scripts: aligned lines, with colors on a terminal and plain text elsewhere."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Final

from rich.console import Console
from rich.text import Text

PLAIN_WIDTH: Final = 100  # of tables in a log file; a terminal has its own width
PART_WIDTH: Final = 12

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # the shell's convention for SIGINT
Main = Callable[..., int]


def make(*, quiet: bool = False) -> Console:
    terminal = sys.stdout.isatty()
    return Console(
        quiet=quiet,
        highlight=False,
        no_color=None if terminal else True,
        width=None if terminal else PLAIN_WIDTH,
    )


def parser(module: str, about: str | None) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(f"python -m {module}", description=about, formatter_class=raw)


def command(
    program: str,
    *,
    failed: tuple[type[Exception], ...] = (),
    usage: tuple[type[Exception], ...] = (),
    interrupted: str = "interrupted; nothing was changed",
) -> Callable[[Main], Main]:
    """Let a `main` end with a message and an exit code in place of these errors or of Ctrl-C."""

    def decorate(main: Main) -> Main:
        @wraps(main)
        def run(arguments: Sequence[str] | None = None) -> int:
            try:
                return main(arguments)
            except usage as problem:
                error(program, problem)
                return USAGE
            except failed as problem:
                error(program, problem)
                return FAILED
            except KeyboardInterrupt:
                error(program, interrupted)
                return INTERRUPTED

        return run

    return decorate


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
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
