"""What operators see: tables on a terminal, lines in a pipe, and nothing that moves the cursor."""

import io
from datetime import UTC, datetime

import pytest

from service.admin.output import Output, plain


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)


ROWS = [("p1", "failed"), ("p2", "succeeded")]


def test_a_terminal_gets_a_table_with_colours() -> None:
    stream = Terminal()
    Output(stream, as_json=False).table("Payments", ("id", "status"), ROWS)
    assert "Payments" in stream.getvalue()
    assert "\x1b[31mfailed" in stream.getvalue()


def test_a_pipe_gets_lines() -> None:
    stream = io.StringIO()
    Output(stream, as_json=False).table("Payments", ("id", "status"), ROWS)
    assert stream.getvalue() == "id\tstatus\np1\tfailed\np2\tsucceeded\n"


def test_json_is_all_or_nothing() -> None:
    stream = io.StringIO()
    out = Output(stream, as_json=True)
    assert out.document({"a": 1})
    out.say("not in the middle of JSON")
    assert stream.getvalue() == '{\n  "a": 1\n}\n'
    assert not Output(stream, as_json=False).document({"a": 1})


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "-"),
        (7, "7"),
        ({"status": "paid", "ref": None}, "status=paid ref=-"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04:05Z"),
        ("[red]as written[/red]", "[red]as written[/red]"),
        ("two\nlines\tand \x1b[2J", "two\N{REPLACEMENT CHARACTER}lines\N{REPLACEMENT CHARACTER}and "
         "\N{REPLACEMENT CHARACTER}[2J"),
    ],
)  # fmt: skip
def test_a_cell_is_one_line_as_it_was_written(cell: object, shown: str) -> None:
    assert plain(cell) == shown
    stream = Terminal()
    Output(stream, as_json=False).table("t", ("c",), [(cell,)])
    assert shown in stream.getvalue()
