"""Where a tool comes from: PATH, then the publisher's release, then Go; with real HTTP."""

import hashlib
import io
import re
import stat
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.bootstrap import sources, tools
from scripts.bootstrap.catalog import Debian, Download, Go, Tool
from scripts.bootstrap.commands import BootstrapError, Commands
from scripts.bootstrap.console import Console
from scripts.bootstrap.tools import Place

ARCHIVE = "widget-2.1.0.tar.gz"


class Publisher:
    """A release server on loopback that remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                publisher.requests.append(name)
                body = publisher.files.get(name)
                self.send_response(200 if body is not None else 404)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def publish(self, files: dict[str, str], checksum: str | None = None) -> None:
        """Offer an archive of executables and its checksum file."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
        body = packed.getvalue()
        self.files[ARCHIVE] = body
        checksum = checksum or hashlib.sha256(body).hexdigest()
        self.files["sums.txt"] = f"{'0' * 64}  other.tar.gz\n{checksum}  ./{ARCHIVE}\n".encode()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Publisher()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def message() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def place(tmp_path: Path, message: io.StringIO) -> Place:
    module = tmp_path / "clone" / "tools" / "widget"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module example.invalid/widget\n")
    (module / "go.sum").write_text("")
    cache = tmp_path / "cache"
    return Place(tmp_path / "clone", cache, Console(message), Commands(cache / "logs"))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an empty folder in the place of PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def widget(publisher: Publisher) -> Tool:
    return Tool(
        name="widget",
        version="2.1.0",
        binaries=("widget",),
        remedy="install Widget 2",
        minimum="2.0.0",
        download=Download(
            archive=f"{publisher.url}/{ARCHIVE}",
            checksums=f"{publisher.url}/sums.txt",
            files=("widget/bin",),
        ),
        go=(Go(folder="widget", package="example.invalid/widget", binary="widget"),),
        go_usually="1 s",
    )


def executable(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def provided(place: Place) -> Path:
    return (place.links / "widget").resolve()


def test_a_tool_on_path_is_used_and_nothing_is_fetched(
    publisher: Publisher, place: Place, path: Path
) -> None:
    own = executable(path / "widget", "echo widget v2.0.0")
    tools.ensure(widget(publisher), place)
    assert provided(place) == own
    assert publisher.requests == []


def test_a_tool_that_is_too_old_is_named_and_the_release_is_used(
    publisher: Publisher, place: Place, path: Path, message: io.StringIO
) -> None:
    executable(path / "widget", "echo widget 1.9.12")
    publisher.publish({"widget/bin/widget": "new", "widget/README": "no"})
    tools.ensure(widget(publisher), place)
    assert provided(place).read_text() == "new"
    assert provided(place).is_relative_to(place.cache)
    assert provided(place).stat().st_mode & stat.S_IXUSR
    assert "2.0.0 is needed, it says 'widget 1.9.12'" in message.getvalue()
    assert [p.name for p in provided(place).parent.iterdir()] == ["widget"]


def test_a_tool_without_its_companion_is_not_used(
    publisher: Publisher, place: Place, path: Path, message: io.StringIO
) -> None:
    executable(path / "widget", "echo 3.0.0")
    publisher.publish({"widget/bin/widget": "whole"})
    tools.ensure(replace(widget(publisher), companions=("widget-host",)), place)
    assert provided(place).read_text() == "whole"
    assert "comes without widget-host" in message.getvalue()


def test_our_own_links_are_no_source(
    publisher: Publisher, place: Place, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = place.root / ".venv" / "bin"
    shim.mkdir(parents=True)
    executable(shim / "widget", "echo 9.9.9")
    monkeypatch.setenv("PATH", f"{shim}:{path}")
    publisher.publish({"widget/bin/widget": "released"})
    tools.ensure(widget(publisher), place)
    assert provided(place).read_text() == "released"


def test_a_wrong_checksum_is_refused_and_go_builds_instead(
    publisher: Publisher, place: Place, path: Path, message: io.StringIO
) -> None:
    publisher.publish({"widget/bin/widget": "tampered"}, checksum="f" * 64)
    executable(path / "go", GO_THAT_BUILDS)
    tools.ensure(widget(publisher), place)
    assert provided(place).read_text() == "built\n"
    assert "does not have its published checksum" in message.getvalue()


@pytest.mark.usefixtures("path")
def test_a_release_without_a_checksum_is_refused(publisher: Publisher, place: Place) -> None:
    publisher.publish({"widget/bin/widget": "unsigned"})
    publisher.files["sums.txt"] = b""
    with pytest.raises(BootstrapError, match=re.escape(f"no checksum of {ARCHIVE}")):
        tools.ensure(widget(publisher), place)
    assert publisher.requests == ["sums.txt"]


@pytest.mark.usefixtures("path")
def test_no_source_at_all_says_what_was_tried_and_what_to_install(
    publisher: Publisher, place: Place
) -> None:
    with pytest.raises(BootstrapError) as failure:
        tools.ensure(widget(publisher), place)
    sentence = str(failure.value)
    assert "\n" not in sentence
    assert "official download: 127.0.0.1 did not answer (" in sentence
    assert "building with Go: there is no Go to build it" in sentence
    assert sentence.endswith("install Widget 2, and run again")
    assert not list((place.cache / "tools").iterdir()), "a failed try leaves nothing behind"


def test_debian_is_asked_before_go_and_only_as_root(
    publisher: Publisher, place: Place, path: Path, message: io.StringIO
) -> None:
    executable(path / "go", GO_THAT_BUILDS)
    tool = replace(widget(publisher), debian=Debian(packages=("widget",), binaries=("bin/widget",)))
    tools.ensure(tool, place)
    lines = [line for line in message.getvalue().splitlines() if "not possible" in line]
    assert [line.split(": ")[2].split(" is not")[0] for line in lines] == [
        "official download",
        "Debian packages",
    ]
    assert "need root on Debian" in lines[1]
    assert provided(place).read_text() == "built\n"


def test_a_second_run_starts_nothing_and_says_nothing(
    publisher: Publisher, place: Place, path: Path, message: io.StringIO, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    executable(path / "widget", f"echo called >> {calls}; echo 2.5.0")
    tools.ensure(widget(publisher), place)
    before = message.getvalue()
    tools.ensure(widget(publisher), place)
    assert calls.read_text() == "called\n"
    assert message.getvalue() == before


def test_a_tool_that_appears_on_path_later_is_noticed(
    publisher: Publisher, place: Place, path: Path
) -> None:
    publisher.publish({"widget/bin/widget": "released"})
    tools.ensure(widget(publisher), place)
    own = executable(path / "widget", "echo 2.2.0")
    tools.ensure(widget(publisher), place)
    assert provided(place) == own


@pytest.mark.usefixtures("path")
def test_a_second_clone_takes_it_from_the_cache(
    publisher: Publisher, place: Place, tmp_path: Path
) -> None:
    publisher.publish({"widget/bin/widget": "released"})
    tools.ensure(widget(publisher), place)
    asked = list(publisher.requests)
    second = replace(place, root=tmp_path / "second")
    (second.root).mkdir()
    (second.root / "tools").symlink_to(place.root / "tools")
    tools.ensure(widget(publisher), second)
    assert provided(second) == provided(place)
    assert publisher.requests == asked


def test_other_pins_are_another_cache_entry(place: Place, publisher: Publisher) -> None:
    tool = widget(publisher)
    before = tools.recipe_digest(tool, place.root)
    assert tools.recipe_digest(replace(tool, remedy="other words"), place.root) == before
    (place.root / "tools" / "widget" / "go.sum").write_text("changed")
    assert tools.recipe_digest(tool, place.root) != before


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("promtool, version 3.16.0 (branch: HEAD)", (3, 16, 0)),
        ("2.42.0+ds-5+deb12u1", (2, 42, 0)),
        ("(devel)", ()),
    ],
)
def test_versions_are_read_from_what_tools_say(text: str, version: tuple[int, ...]) -> None:
    assert sources.version_of(text) == version


GO_THAT_BUILDS = """\
[ "$1" = list ] && { echo example.invalid/widget; exit; }
for last in "$@"; do [ "$previous" = -o ] && echo built > "$last"; previous=$last; done
exit 0"""
