"""The base of the images is pinned by what a real HTTP server, a small registry, says."""

import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts import base_digest
from scripts.platform import base_image
from scripts.platform.base_image import BaseImageError
from scripts.platform.embedded import free_port
from scripts.platform.registry import DEFAULT_REGISTRY, Reference

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
OLD = f"sha256:{'0' * 64}"
TEXT = "# before\nARG BASE_IMAGE={}\nFROM ${{BASE_IMAGE}} AS builder\n"


class Registry(BaseHTTPRequestHandler):
    """Knows python:3.11, and tells it to those with the token that it gives to everybody."""

    answer = DIGEST
    scope = "repository:library/python:pull"

    def do_HEAD(self) -> None:
        if self.headers["Authorization"] != "Bearer a token":
            here = self.headers["Host"]
            realm = f'realm="http://{here}/token",service="here",scope="{self.scope}"'
            self._say(401, {"WWW-Authenticate": f"Bearer {realm}"})
        elif self.path != "/v2/library/python/manifests/3.11" or "index" not in self._accepted():
            self._say(404, {})
        else:
            self._say(200, {"Docker-Content-Digest": self.answer})

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        asked = urllib.parse.parse_qs(query)
        if path == "/token" and asked == {"service": ["here"], "scope": [self.scope]}:
            self._say(200, {}, json.dumps({"token": "a token"}).encode())
        else:
            self._say(403, {})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _accepted(self) -> str:
        return self.headers["Accept"]

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(handler: type[Registry]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture
def registry() -> Iterator[str]:
    with serving(Registry) as address:
        yield address


@pytest.fixture
def dockerfile(tmp_path: Path) -> Path:
    return tmp_path / "Dockerfile"


def pin(dockerfile: Path, base: str) -> int:
    dockerfile.write_text(TEXT.format(base))
    return base_digest.main(["--dockerfile", str(dockerfile)])


@pytest.mark.parametrize("before", ["", f"@{OLD}", f"@{DIGEST}"])
def test_the_digest_of_today_is_written_behind_the_tag(
    registry: str, dockerfile: Path, before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = f"{registry}/library/python:3.11"
    assert pin(dockerfile, base + before) == 0
    assert dockerfile.read_text() == TEXT.format(f"{base}@{DIGEST}")
    assert list(dockerfile.parent.iterdir()) == [dockerfile]
    assert ("still" in capsys.readouterr().out) is (DIGEST in before)


class Careless(Registry):
    answer = "latest"


class Foreign(Registry):
    scope = "repository:other:pull"

    def do_GET(self) -> None:
        self._say(403, {})


def test_without_an_answer_the_dockerfile_stays(
    registry: str, dockerfile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Careless) as careless, serving(Foreign) as foreign:
        for base, reason in {
            f"{registry}/library/python:3.99": "404",
            f"{careless}/library/python:3.11": "gives no digest",
            f"{foreign}/library/python:3.11": "403",
            f"127.0.0.1:{free_port()}/library/python:3.11": "Connection refused",
        }.items():
            assert pin(dockerfile, base) == 1
            assert dockerfile.read_text() == TEXT.format(base)
            said = capsys.readouterr().err
            assert f"{base}: " in said or f"{base}, " in said
            assert "Dockerfile is as it was" in said
            assert reason in said


def test_a_dockerfile_names_its_base_once(dockerfile: Path) -> None:
    dockerfile.write_text(TEXT.format("a:1") + TEXT.format("b:1"))
    with pytest.raises(BaseImageError, match="2 lines"):
        base_image.read(dockerfile)
    assert base_image.read().startswith("python:3.11-slim")


@pytest.mark.parametrize(
    ("text", "parsed", "scheme"),
    [
        ("python:3.11", (DEFAULT_REGISTRY, "library/python", "3.11"), "https"),
        (f"python:3.11@{OLD}", (DEFAULT_REGISTRY, "library/python", "3.11"), "https"),
        ("shop/base", (DEFAULT_REGISTRY, "shop/base", "latest"), "https"),
        ("ghcr.io/shop/base:1", ("ghcr.io", "shop/base", "1"), "https"),
        ("example.test:5000/base", ("example.test:5000", "base", "latest"), "https"),
        ("localhost/base:1", ("localhost", "base", "1"), "http"),
        ("[::1]:5000/base:1", ("[::1]:5000", "base", "1"), "http"),
        ("localhost:5000/base:1", ("localhost:5000", "base", "1"), "http"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(
    text: str, parsed: tuple[str, str, str], scheme: str
) -> None:
    reference = Reference.parse(text)
    assert (reference.registry, reference.name, reference.tag) == parsed
    assert reference.url.startswith(f"{scheme}://{reference.registry}/v2/")
