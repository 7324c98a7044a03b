"""The image is built from the Dockerfile and a container of it takes a payment."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.bootstrap.components import docker_answers
from scripts.platform import containers
from scripts.platform.containers import Buildah, Docker

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600.0  # the first build makes the base image too
CAN_BUILD = docker_answers() or (os.geteuid() == 0 and shutil.which("apt-get") is not None)


@pytest.mark.skipif(not CAN_BUILD, reason="needs a Docker engine, or root on Debian for buildah")
@pytest.mark.timeout(TIMEOUT_S)
def test_a_container_of_the_image_takes_a_payment() -> None:
    done = subprocess.run(
        ["make", "image"],
        cwd=ROOT,
        env={**os.environ, "IMAGE": "localhost/coinslot:test"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "runs as user 10001 and can write to temporary folders only" in done.stderr
    assert "schema is ready: up to date" in done.stderr
    assert "succeeded, 1 game granted" in done.stderr
    assert "role api stopped by SIGTERM with exit code 0" in done.stderr
    assert "localhost/coinslot:test is built with" in done.stdout


def test_a_slim_root_keeps_licenses_and_loses_what_differs_between_builds(tmp_path: Path) -> None:
    kept = ["usr/share/doc/x/copyright", "usr/bin/python3", "etc/passwd"]
    gone = [
        "usr/share/doc/x/changelog.gz",
        "var/lib/apt/lists/index",
        "var/cache/ldconfig/aux-cache",
        "usr/lib/python3/__pycache__/a.pyc",
        "etc/passwd-",
    ]
    for name in [*kept, *gone, *containers.BLANKED]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("content")
    containers.slim(tmp_path)
    assert [name for name in kept if not (tmp_path / name).exists()] == []
    assert [name for name in gone if (tmp_path / name).exists()] == []
    assert [(tmp_path / name).read_text() for name in containers.BLANKED] == ["", "", ""]


def test_both_engines_keep_a_container_from_privileges(tmp_path: Path) -> None:
    commands: Any = None  # nothing is run
    with Docker(commands).container("image") as container:
        command = [str(part) for part in container(["true"], {"A": "1"})]
    assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"} <= set(command)
    assert command[-3:] == ["--env=A=1", "image", "true"]
    command_line = Buildah(commands, tmp_path, tmp_path, 0)._command("bud", "x")
    assert "--signature-policy" in command_line
