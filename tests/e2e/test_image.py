"""The image is built from the Dockerfile and a container of it takes a payment."""

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from scripts.bootstrap.console import Console
from scripts.platform import containers, images
from scripts.platform.containers import Buildah, Docker

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600.0  # the first build makes the base image too
pytestmark = pytest.mark.xdist_group("images")  # one build at a time
STATIC = (Path("/sbin/ldconfig.real"), Path("/sbin/ldconfig"))  # Ubuntu's ldconfig is a script
BUILDS = pytest.mark.skipif(
    not images.can_build(), reason="needs a Docker engine, or root on Debian for buildah"
)


@BUILDS
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


@BUILDS
@pytest.mark.timeout(TIMEOUT_S)
def test_an_image_of_static_programs_is_made_anew_when_one_of_them_changes(tmp_path: Path) -> None:
    subprocess.run(["tools/bootstrap", "image"], cwd=ROOT, check=True, timeout=TIMEOUT_S)
    builder = images.ImageBuilder(Console(name="test"))
    tag, archive = "localhost/coinslot-programs:test", tmp_path / "archives" / "programs.tar"
    static = next(path for path in STATIC if path.is_file())
    (tmp_path / "data").write_text("as it was")

    def build() -> tuple[str, int]:
        binaries = {"ldconfig": static, "data": tmp_path / "data"}
        assert images.binaries_image(builder, tag, binaries, archive) == archive
        return builder.engine.image_id(tag), archive.stat().st_mtime_ns

    first = build()
    assert build() == first
    (tmp_path / "data").write_text("as it is now")
    second = build()
    assert second[0] != first[0]
    with builder.engine.container(tag) as container:
        command = [str(part) for part in container(["ldconfig", "--version"], {})]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("ldconfig")
    with tarfile.open(archive) as saved:
        (described,) = json.load(saved.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(saved.extractfile(described["Config"]) or pytest.fail("no config"))
    assert described["RepoTags"] == [tag]
    assert config["config"]["User"] == "65534:65534"


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
