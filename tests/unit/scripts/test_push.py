"""`make push` signs in, pushes, and names the bytes that the registry has."""

from pathlib import Path

import pytest

from scripts import push

IMAGE = "ghcr.io/coinslot/coinslot:1.0"
DIGEST = f"sha256:{'a' * 64}"
DOCKER = """#!/bin/sh
echo "$@" >> {calls}
[ "$1" = login ] && cat >> {calls}
[ "$1" = push ] && echo "{answer}"
exit {code}
"""


def docker(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, answer: str = "", code: int = 0
) -> Path:
    """Put a `docker` first on PATH; return the file with what it was called with."""
    calls = folder / "calls"
    program = folder / "docker"
    program.write_text(DOCKER.format(calls=calls, answer=answer, code=code))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return calls


def test_a_pushed_image_is_named_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = docker(tmp_path, monkeypatch, answer=f"1.0: digest: {DIGEST} size: 1")
    output = tmp_path / "output"
    environ = {"REGISTRY_TOKEN": "t0ken", "GITHUB_ACTOR": "ada", "GITHUB_OUTPUT": str(output)}
    assert push.main([IMAGE], environ) == 0
    assert capsys.readouterr().out == f"{IMAGE}@{DIGEST}\n"
    assert output.read_text() == f"reference={IMAGE}@{DIGEST}\n"
    login, sent = calls.read_text().splitlines()
    assert login == "login ghcr.io --username ada --password-stdin"
    assert sent == f"t0kenpush {IMAGE}"


@pytest.mark.parametrize(("answer", "code"), [("denied", 1), ("no word of it", 0)])
def test_a_push_that_is_refused_or_tells_no_digest_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    docker(tmp_path, monkeypatch, answer=answer, code=code)
    assert push.main([IMAGE], {}) == push.FAILED


@pytest.mark.parametrize("image", ["", "coinslot:1.0", "localhost/coinslot:1.0"])
def test_an_image_without_a_registry_is_not_pushed(image: str) -> None:
    assert push.main([image] if image else [], {}) == push.USAGE
