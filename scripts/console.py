"""Output of the scripts: aligned lines, with colors on a terminal and plain text elsewhere."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Final

from rich.console import Console
from rich.text import Text

PLAIN_WIDTH: Final = 100  # of tables in a log file; a terminal has its own width
PART_WIDTH: Final = 12

FAILED: Final = 1
USAGE: Final = 2
BY_SIGNAL: Final = 128  # the shell's convention: and the signal's number
ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
Main = Callable[..., int]


class TerminatedError(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: whatever handles Ctrl-C handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = BY_SIGNAL + number


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
    """Let a `main` end with a message and an exit code in place of these errors or of a signal."""

    def decorate(main: Main) -> Main:
        @wraps(main)
        def run(arguments: Sequence[str] | None = None) -> int:
            with _terminated():
                try:
                    return main(arguments)
                except usage as problem:
                    error(program, problem)
                    return USAGE
                except failed as problem:
                    error(program, problem)
                    return FAILED
                except KeyboardInterrupt as interrupt:
                    error(program, interrupted)
                    return getattr(interrupt, "code", BY_SIGNAL + signal.SIGINT)

        return run

    return decorate


@contextmanager
def _terminated() -> Iterator[None]:
    """Let the first SIGTERM or SIGHUP raise TerminatedError; a signal that is ignored stays so."""
    raised = False

    def terminate(number: int, _frame: FrameType | None) -> None:
        nonlocal raised
        if not raised:  # one stop often comes twice, by `make` and to the group: not "at once"
            raised = True
            raise TerminatedError(number)

    before = {
        each: signal.signal(each, terminate)
        for each in ENDS
        if signal.getsignal(each) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


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
