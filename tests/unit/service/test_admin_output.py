"""What operators see: tables on a terminal, lines in a pipe, and nothing that moves the cursor."""

import io

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
    out.text("not in the middle of JSON")
    assert stream.getvalue() == '{\n  "a": 1\n}\n'
    assert not Output(stream, as_json=False).document({"a": 1})


PAGE = {
    "items": [
        {"id": 1, "status": "failed", "error": None},
        {"id": 2, "status": "x", "error": None},
    ],
    "next_cursor": 2,
}


def test_a_page_is_a_table_and_a_terminal_is_spared_empty_columns() -> None:
    pipe, terminal = io.StringIO(), Terminal()
    Output(pipe, as_json=False).show("Payments", PAGE)
    assert pipe.getvalue() == "id\tstatus\terror\n1\tfailed\t-\n2\tx\t-\n"
    Output(terminal, as_json=False).show("Payments", PAGE)
    assert "error" not in terminal.getvalue()
    assert "more: --cursor 2" in terminal.getvalue()


def test_an_object_is_its_facts_and_then_its_parts() -> None:
    stream = io.StringIO()
    answer = {"parts": [{"id": 1}], "id": 7, "types": ["a", "b"], "of": {"x": 1}}
    Output(stream, as_json=False).show("Thing", answer)
    assert stream.getvalue() == "name\tvalue\nid\t7\ntypes\ta b\nid\n1\nname\tvalue\nx\t1\n"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "-"),
        (7, "7"),
        ({"status": "paid", "ref": None}, "status=paid ref=-"),
        (["payment.succeeded", "refund.failed"], "payment.succeeded refund.failed"),
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
