"""What a command says: tables on a terminal, tab-separated lines in a pipe, or JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NOTHING: Final = "-"
Cell = Any
Row = Sequence[Cell]


class Output:
    """Prints to one stream, in the form that suits it."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream = stream
        self._as_json = as_json
        self._console = Console(file=stream, highlight=False)

    def say(self, sentence: str) -> None:
        """Print a sentence; JSON has no place for one."""
        if not self._as_json:
            self._console.print(Text(plain(sentence)), soft_wrap=True)

    def document(self, value: Any) -> bool:
        """Print `value` if JSON is wanted; tell whether it was."""
        if self._as_json:
            raw = msgspec.json.format(msgspec.json.encode(value), indent=2)
            self._stream.write(raw.decode() + "\n")
        return self._as_json

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Print rows under their columns."""
        if not self._console.is_terminal:
            lines = [columns, *([plain(cell) for cell in row] for row in rows)]
            self._stream.writelines("\t".join(line) + "\n" for line in lines)
            return
        table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*(_styled(plain(cell)) for cell in row))
        self._console.print(table if rows else Text(f"{title}: none", style="dim"))

    def facts(self, title: str, facts: Sequence[tuple[str, Cell]]) -> None:
        """Print names and values."""
        self.table(title, ("name", "value"), facts)


def plain(cell: Cell) -> str:
    """Return a cell as one line without control characters: a note must not move the cursor."""
    match cell:
        case None:
            return NOTHING
        case datetime():
            return cell.strftime("%Y-%m-%d %H:%M:%SZ")
        case dict():
            return plain(" ".join(f"{name}={plain(value)}" for name, value in cell.items()))
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(cell)
    )


_STYLES: Final = {
    "succeeded": "green",
    "granted": "green",
    "failed": "red",
    "review": "yellow",
    "unknown": "yellow",
    "given_up": "red",
}


def _styled(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))
