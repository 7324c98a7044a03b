"""One JSON object a line, whatever is logged; nothing secret in it."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service import logs
from service.setting_types import Secret

Lines = Callable[[], list[dict[str, Any]]]
NEEDED = {
    "DATABASE_URL": "postgresql://unused",
    "JWT_SECRET": "k" * 32,
    "SIMULATOR_API_KEY": "unused",
    "LIBRARY_TOKEN": "unused",
}


@pytest.fixture
def stream() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def lines(stream: io.BytesIO) -> Iterator[Lines]:
    before = list(logging.getLogger().handlers)
    logs.configure("debug", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().handlers = before


@pytest.fixture
def log() -> Any:
    return logs.get_logger("tests")


def test_a_line_has_event_level_module_and_utc_time(lines: Lines, log: Any) -> None:
    log.info("payment_succeeded", amount_minor=1999)
    (line,) = lines()
    written = datetime.fromisoformat(line.pop("time"))
    assert line == {
        "event": "payment_succeeded",
        "level": "info",
        "module": "tests",
        "amount_minor": 1999,
    }
    assert written.tzinfo == UTC
    assert abs((datetime.now(UTC) - written).total_seconds()) < 60


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level_is_a_threshold(stream: io.BytesIO, lines: Lines, log: Any, level: str) -> None:
    logs.configure(level, stream)
    for each in ("debug", "info", "warning", "error"):
        getattr(log, each)("said")
        getattr(logging.getLogger("library"), each)("said")
    order = ["debug", "info", "warning", "error"]
    expected = [each for each in order[order.index(level) :] for _ in range(2)]
    assert [line["level"] for line in lines()] == expected


async def test_bound_fields_follow_the_work_into_its_tasks_and_not_back(
    lines: Lines, log: Any
) -> None:
    async def part() -> None:
        logs.bind(payment_id="p-1")
        log.info("inner")

    with logs.bind_correlation("c-1", provider="simulator"):
        await asyncio.create_task(part())
        log.info("outer")
        assert logs.correlation_id() == "c-1"
    log.info("after")
    assert logs.correlation_id() == ""
    inner, outer, after = (line for line in lines() if line["module"] == "tests")
    assert (inner["correlation_id"], inner["payment_id"]) == ("c-1", "p-1")
    assert (outer["correlation_id"], outer["provider"]) == ("c-1", "simulator")
    assert "payment_id" not in outer
    assert set(after) == {"event", "level", "module", "time"}


def test_the_context_is_left_when_the_work_fails(lines: Lines) -> None:
    with pytest.raises(RuntimeError), logs.bind_correlation("c-1"):
        raise RuntimeError
    assert logs.correlation_id() == ""
    assert lines() == []


def test_an_exception_is_one_line(lines: Lines, stream: io.BytesIO, log: Any) -> None:
    try:
        int("first\nsecond")
    except ValueError:
        log.exception("it_broke")
    (line,) = lines()
    assert "ValueError: invalid literal" in line["exception"]
    assert "\n" in line["exception"]
    assert stream.getvalue().count(b"\n") == 1


def test_the_standard_library_comes_out_the_same_way(lines: Lines) -> None:
    try:
        int("boom")
    except ValueError:
        logging.getLogger("some.library").exception("it %s", "broke")
    (line,) = lines()
    assert (line["event"], line["module"], line["message"], line["level"]) == (
        "library_log",
        "some.library",
        "it broke",
        "error",
    )
    assert "ValueError: invalid literal" in line["exception"]


@pytest.mark.parametrize(("number", "name"), [(1, "debug"), (25, "info"), (99, "critical")])
def test_levels_of_libraries_own_are_rounded_down(lines: Lines, number: int, name: str) -> None:
    logging.getLogger().setLevel(1)
    logging.getLogger("some.library").log(number, "odd")
    assert [line["level"] for line in lines()] == [name]


def test_a_line_begins_with_what_people_look_for(
    lines: Lines, stream: io.BytesIO, log: Any
) -> None:
    with logs.bind_correlation("c-1"):
        log.info("paid", level="mine")
    assert list(lines()[0]) == ["time", "level", "event", "correlation_id", "module"]
    assert stream.getvalue().startswith(b'{"time":"20')


def test_configuring_twice_does_not_double_the_lines(lines: Lines, stream: io.BytesIO) -> None:
    logs.configure("debug", stream)
    logging.getLogger("some.library").warning("once")
    assert len(lines()) == 1


@pytest.mark.parametrize(
    "key",
    [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "token",
        "access_token",
        "jwt",
        "password",
        "passwd",
        "client_secret",
        "api_key",
        "X-Api-Key",
        "apikey",
        "card",
        "card_number",
        "cvc",
        "cookie",
        "set-cookie",
        "webhook_signature",
        "database_url",
    ],
)
@pytest.mark.parametrize("value", ["hunter2", 4242424242424242, ["hunter2"], {"a": "hunter2"}])
def test_what_sounds_secret_is_masked(lines: Lines, log: Any, key: str, value: Any) -> None:
    log.info("called", **{key: value}, nested={"deep": [{key: value}]})
    (line,) = lines()
    assert line[key] == "***"
    assert line["nested"] == {"deep": [{key: "***"}]}


@pytest.mark.parametrize("key", ["idempotency_key", "discard", "scorecard", "panel", "status"])
def test_what_only_looks_alike_is_kept(lines: Lines, log: Any, key: str) -> None:
    log.info("called", **{key: "kept"})
    assert lines()[0][key] == "kept"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at postgresql://u:hunter2@db:5432/x", "at postgresql://u:***@db:5432/x"),
        ("redis://:hunter2@cache", "redis://:***@cache"),
        ("sent Bearer aaa.bbb-c_c.ddd= off", "sent Bearer *** off"),
        ("bearer hunter2", "bearer ***"),
        ("BEARER hunter2", "BEARER ***"),
        ("https://api.example/v1?x=1", "https://api.example/v1?x=1"),
    ],
)
def test_secrets_inside_texts_are_masked(lines: Lines, log: Any, text: str, shown: str) -> None:
    log.info("called", error=text, causes=[ValueError(text)])
    assert (lines()[0]["error"], lines()[0]["causes"]) == (shown, [shown])


_PARTS = st.sampled_from(
    ["://", ":", "@", "/", " ", "bearer", "Bearer ", "a", "u:p@h", "\n", "=", "https://u:p@h/", "."]
)
_MEANT = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+|(://[^\s/:@]*:)[^\s@]+(?=@)")
"""What is masked, in one expression; it takes the square of a text's length."""


@given(st.lists(_PARTS, max_size=30).map("".join))
def test_what_is_masked_inside_a_text_is_what_is_meant(text: str) -> None:
    meant = _MEANT.sub(lambda match: f"{match[1] or match[2]}{logs.MASK}", text)
    assert logs.redact(None, "info", {"said": text}) == {"said": meant}


LENGTH = 100_000


@pytest.mark.parametrize(
    "part",
    [
        "://a:",
        "://:",
        "://",
        "bearer ",
        "bearer  \t",
        "://bearer ",
        "://a:b@",
        "://a",
        "b:@",
        "earer",
    ],
)
def test_masking_a_longer_text_takes_longer_in_proportion(part: str) -> None:
    def cost_s(length: int) -> float:
        text = (part * length)[:length] + "://"
        best = float("inf")
        for _ in range(5):  # the least disturbed
            before = time.thread_time()
            logs.redact(None, "info", {"said": text})
            best = min(best, time.thread_time() - before)
        return best

    once = cost_s(LENGTH)
    assert once < 0.25  # the square would take tens of seconds
    # In proportion is 8 times, the square is 64: room for what a busy machine adds.
    assert cost_s(8 * LENGTH) < 24 * max(once, 0.001)


def test_secret_values_are_masked_under_any_key(lines: Lines, log: Any) -> None:
    log.info("called", value=Secret("hunter2"), more=[Secret("hunter2")])
    assert "hunter2" not in json.dumps(lines())
    assert lines()[0]["value"] == "***"


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))  # lone surrogates too
    | st.binary()
    | st.datetimes()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.frozensets(st.text(max_size=3), max_size=3)
    ),
    max_leaves=12,
)


@given(value=JSON_LIKE)
@example(value="\ud800")
@example(value={"\udcff": [float("nan"), "\udcff"]})
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_logged_is_one_line_of_json(
    lines: Lines, stream: io.BytesIO, log: Any, value: Any
) -> None:
    stream.seek(0)
    stream.truncate()
    log.info("called", value=value)
    assert stream.getvalue().count(b"\n") == 1
    assert lines()[0]["event"] == "called"


def test_bytes_of_a_header_that_are_no_text_are_escaped(lines: Lines, log: Any) -> None:
    log.info("called", count=3, agent=b"curl\xff".decode(errors="surrogateescape"))
    assert (lines()[-1]["agent"], lines()[-1]["count"]) == ("curl\\udcff", 3)


def test_what_holds_itself_is_cut(lines: Lines, log: Any) -> None:
    endless: list[Any] = []
    endless.append(endless)
    log.info("called", value=endless)
    assert "***" in json.dumps(lines()[0]["value"])


def test_a_process_logs_json_to_stdout() -> None:
    code = """
import os
from service import logs, settings
log = logs.get_logger("early")
logs.configure(settings.load(os.environ).log_level)
log.info("ready", ok=True)
log.debug("hidden")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=NEEDED, capture_output=True, check=True, timeout=60
    )
    line = json.loads(done.stdout)
    assert (line["event"], line["module"], line["ok"]) == ("ready", "early", True)
    assert done.stderr == b""
