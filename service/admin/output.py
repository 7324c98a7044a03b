"""The output of a command: tables on a terminal, tab-separated lines in a pipe, or JSON."""

from collections.abc import Sequence
from typing import Any, Final, TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NOTHING: Final = "-"


class Output:
    """Prints to one stream, in the form that suits it."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream = stream
        self._as_json = as_json
        self._console = Console(file=stream, highlight=False)

    def text(self, sentence: str) -> None:
        """Print a sentence; JSON has no place for one."""
        if not self._as_json:
            self._console.print(Text(plain(sentence)), soft_wrap=True)

    def document(self, value: Any) -> bool:
        """Print `value` if JSON is wanted; return whether it was."""
        if self._as_json:
            raw = msgspec.json.format(msgspec.json.encode(value), indent=2)
            self._stream.write(raw.decode() + "\n")
        return self._as_json

    def show(self, title: str, answer: dict[str, Any]) -> None:
        """Print an answer of the API: a page as a table, else its facts and then its parts."""
        if self.document(answer):
            return
        if answer.keys() == {"items", "next_cursor"}:
            self._items(title, answer["items"])
            if answer["next_cursor"] and self._console.is_terminal:
                self.text(f"more: --cursor {answer['next_cursor']}")
            return
        parts = {name: value for name, value in answer.items() if _is_part(value)}
        facts = [each for each in answer.items() if each[0] not in parts]
        if facts:
            self.table(title, ("name", "value"), facts)
        for name, value in parts.items():
            part = name.replace("_", " ").capitalize()
            if isinstance(value, dict):
                self.show(part, value)
            else:
                self._items(part, value)

    def _items(self, title: str, items: Sequence[dict[str, Any]]) -> None:
        """Print a list; a terminal is spared the columns that are empty all the way down."""
        columns = [
            name
            for name in (items[0] if items else ())
            if not self._console.is_terminal or any(item[name] is not None for item in items)
        ]
        self.table(title, columns, [[item[name] for name in columns] for item in items])

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print rows under their columns."""
        if not self._console.is_terminal:
            lines = [columns, *([plain(cell) for cell in row] for row in rows)]
            self._stream.writelines("\t".join(line) + "\n" for line in lines)
            return
        table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*(_styled(plain(cell)) for cell in row))
        self._console.print(table if rows else Text(f"{title}: none", style="dim"))


def _is_part(value: Any) -> bool:
    """Tell whether a value is an object or a list of objects, which is printed by itself."""
    if isinstance(value, list):
        return all(isinstance(each, dict) for each in value)
    return isinstance(value, dict)


def plain(cell: Any) -> str:
    """Return a cell as one line without control characters: a note must not move the cursor."""
    match cell:
        case None:
            return NOTHING
        case list():
            return plain(" ".join(map(plain, cell)))
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
