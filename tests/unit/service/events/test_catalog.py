"""Every log call of the service is one of the catalog, and the catalog has no others."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import service
from scripts.reference import pages
from service import events

ROOT: Final = Path(service.__file__).parent
METHODS: Final = {"debug", "info", "warning", "error", "exception", "critical", "log"}
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    name: value for name, value in vars(events).items() if name.endswith("_REACHED")
    and isinstance(value, Mapping)
}  # fmt: skip


@dataclass(frozen=True)
class LogCall:
    """One call of a logger in the service's sources."""

    where: str
    level: str | None
    names: tuple[str, ...]
    fields: tuple[str, ...]


def log_calls(source: str, where: str) -> Iterator[LogCall]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (level := level_of(node.func)):
            place = f"{where}:{node.lineno}"
            name = node.args[1 if level == "log" else 0]
            keywords = tuple(each.arg for each in node.keywords if each.arg)
            known = level if level in {"debug", "info", "warning", "error"} else None
            yield LogCall(place, known, tuple(names_of(name, place)), keywords)


def level_of(function: ast.expr) -> str | None:
    """Return a log method's name if that is what is called; `emit` stands for a chosen one."""
    if isinstance(function, ast.Name):
        return "emit" if function.id == "emit" else None
    if not isinstance(function, ast.Attribute) or function.attr not in METHODS:
        return None
    owner = ast.unparse(function.value)
    loggers = ("log", "_log", "self._log", "logs.get_logger(__name__)", "get_logger(__name__)")
    return function.attr if owner in loggers else None


def names_of(node: ast.expr, where: str) -> Iterator[str]:
    """Yield the names that an event's expression can have; fail for one that can't be derived."""
    match node:
        case ast.Constant(value=str(name)):
            yield name
        case ast.IfExp(body=body, orelse=other):
            yield from names_of(body, where)
            yield from names_of(other, where)
        case ast.Subscript(value=ast.Name(id=table) | ast.Attribute(attr=table)) if table in TABLES:
            yield from TABLES[table].values()
        case _:
            pytest.fail(
                f"{where}: {ast.unparse(node)} is no fixed name; name the event by a literal, or "
                "by a table …_REACHED of service/events.py"
            )


def found() -> list[LogCall]:
    return [
        call
        for path in sorted(ROOT.rglob("*.py"))
        for call in log_calls(path.read_text(), str(path.relative_to(ROOT.parent)))
    ]


def test_every_log_call_is_in_the_catalog() -> None:
    problems = []
    for call in found():
        for name in call.names:
            event = events.CATALOG.get(name)
            if event is None:
                problems.append(f"{call.where}: add {name!r} to service/events.py")
                continue
            extra = set(call.fields) - {*event.fields, *events.COMMON, "exc_info"}
            if extra:
                problems.append(f"{call.where}: {name} has no field {', '.join(sorted(extra))}")
            if call.level and call.level not in event.levels:
                problems.append(f"{call.where}: {name} is not of level {call.level}")
    assert problems == []


def test_the_catalog_has_no_event_that_nobody_logs() -> None:
    logged = {name for call in found() for name in call.names}
    assert set(events.CATALOG) - logged == set()


def test_no_logger_goes_by_another_name() -> None:
    # Guards the tests above: they know loggers by their names.
    makers = {"get_logger", "getLogger"}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                called = ast.unparse(node.value.func).rsplit(".", 1)[-1]
                targets = {ast.unparse(target) for target in node.targets}
                if called in makers:
                    assert targets <= {"_log", "log", "self._log", "root"}, path


def test_names_fields_and_meanings_are_written_alike() -> None:
    used = {field for event in events.CATALOG.values() for field in event.fields}
    assert used <= {*events.FIELDS, *events.COMMON}
    assert set(events.FIELDS) - used == set()
    for event in events.CATALOG.values():
        assert event.name == event.name.lower().replace(" ", "_")
        assert event.meaning[0].isupper()
        assert event.meaning.endswith(".")


@pytest.mark.parametrize(
    "source",
    [
        "_log.info(f'payment_{x}')",
        "_log.info('a' + x)",
        "_log.warning(name)",
        "log.error('%s' % x)",
        "self._log.info(str(x))",
        "_log.info(TABLE[x])",
    ],
)
def test_a_name_that_is_put_together_is_found(source: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="no fixed name"):
        list(log_calls(source, "x.py"))


def test_calls_are_read_as_they_are() -> None:
    source = "_log.info('a' if x else 'b', c=1)\nemit('d', **more)\n_log.log(20, 'e')\nmath.log(3)"
    assert [(call.names, call.level, call.fields) for call in log_calls(source, "x.py")] == [
        (("a", "b"), "info", ("c",)),
        (("d",), None, ()),
        (("e",), None, ()),
    ]


@pytest.mark.parametrize("name", ["events.md", "errors.md", "states.md", "webhooks.md"])
def test_the_committed_pages_are_what_the_service_says(name: str) -> None:
    committed = ROOT.parent / "docs" / "reference" / name
    assert committed.read_text() == pages()[name], "run `make render`"
