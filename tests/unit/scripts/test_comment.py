"""The one comment on a pull request: written once, then rewritten; GitHub is played by a server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from infra.review.report import MARKER
from scripts import comment

TOKEN = "the-token"


class GitHub(BaseHTTPRequestHandler):
    """As much of GitHub's API as comments on one pull request need."""

    comments: ClassVar[list[dict[str, Any]]]
    status: ClassVar[int]

    def do_GET(self) -> None:
        _, _, query = self.path.partition("?")
        asked = dict(pair.split("=") for pair in query.split("&"))
        start = (int(asked["page"]) - 1) * int(asked["per_page"])
        self._answer(self.comments[start : start + int(asked["per_page"])])

    def do_POST(self) -> None:
        assert self.path == "/repos/coinslot/coinslot/issues/7/comments"
        made = {"id": len(self.comments) + 1, "user": {"login": comment.BOT}, **self._body()}
        self.comments.append({**made, "html_url": f"https://example.test/{made['id']}"})
        self._answer(self.comments[-1])

    def do_PATCH(self) -> None:
        number = int(self.path.rpartition("/")[2])
        (found,) = [each for each in self.comments if each["id"] == number]
        found.update(self._body())
        self._answer(found)

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _answer(self, document: Any) -> None:
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
        self.send_response(self.status if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[GitHub]]:
    GitHub.comments, GitHub.status = [], 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "coinslot/coinslot")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    yield GitHub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "diff.md"
    file.write_text(f"{MARKER}\nfirst")
    return file


def said(number: int, login: str, body: str) -> dict[str, Any]:
    address = f"https://example.test/{number}"
    return {"id": number, "user": {"login": login}, "body": body, "html_url": address}


def test_it_is_written_once_and_then_rewritten(github: type[GitHub], report: Path) -> None:
    github.comments += [said(n, "ada", "a remark") for n in range(1, 131)]
    assert comment.main(["7", str(report)]) == 0
    report.write_text(f"{MARKER}\nsecond")
    assert comment.main(["7", str(report)]) == 0
    assert [each["body"] for each in github.comments[130:]] == [f"{MARKER}\nsecond"]


def test_what_somebody_else_has_written_is_left_alone(github: type[GitHub], report: Path) -> None:
    github.comments.append(said(1, "mallory", f"{MARKER}\nall is well"))
    assert comment.main(["7", str(report)]) == 0
    assert github.comments[0]["body"] == f"{MARKER}\nall is well"
    assert len(github.comments) == 2


def test_a_refusal_is_told_without_the_token(
    github: type[GitHub], report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.status = 403
    assert comment.main(["7", str(report)]) == comment.FAILED
    told = capsys.readouterr().err
    assert "GitHub: HTTP Error 403" in told
    assert TOKEN not in told


def test_only_a_report_is_published(
    github: type[GitHub], report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.write_text("anything")
    assert comment.main(["7", str(report)]) == comment.USAGE
    assert comment.main(["7", str(report.with_name("none"))]) == comment.USAGE
    assert "no report of make diff" in capsys.readouterr().err
    assert github.comments == []


def test_a_missing_variable_is_named(
    report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "coinslot/coinslot")
    assert comment.main(["7", str(report)]) == comment.USAGE
    assert "GITHUB_TOKEN not set" in capsys.readouterr().err
