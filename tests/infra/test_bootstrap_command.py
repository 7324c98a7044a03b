"""tools/bootstrap as a command: its sentences, its exit codes, two at a time, and Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0
# A compiler that writes its pid into a pipe when it runs, and ends when a gate opens.
GO_THAT_WAITS = """#!/bin/sh
[ "$1" = list ] && { echo example.invalid/widget; exit; }
echo build >> "$CALLS"
echo $$ > "$STARTED"
read go_on < "$GATE"
for last in "$@"; do [ "$previous" = -o ] && echo built > "$last"; previous=$last; done
exit 0
"""


@dataclass
class Clone:
    """A copy of what bootstrap needs, with a PATH and a cache of its own."""

    root: Path
    path: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [self.root / "tools" / "bootstrap", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        assert output == "" or "--help" in arguments, "stdout belongs to the target"
        return process.returncode, errors

    def cached(self) -> list[Path]:
        folder = Path(self.environment["XDG_CACHE_HOME"]) / "coinslot" / "tools"
        return list(folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    root, path = tmp_path / "clone", tmp_path / "path"
    (root / "scripts").mkdir(parents=True)
    for name in (
        *("scripts/writable_home.sh", "scripts/__init__.py"),
        "pyproject.toml",
    ):
        shutil.copy(ROOT / name, root / name)
    for name in ("scripts/bootstrap", "requirements", "tools"):
        shutil.copytree(ROOT / name, root / name)
    path.mkdir()
    for tool in ("dirname", "mkdir"):
        (path / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    (path / "python3").symlink_to(sys.executable)
    made = Clone(
        root,
        path,
        {
            "PATH": str(path),
            "HOME": str(tmp_path / "home"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "https_proxy": "http://127.0.0.1:9",  # nobody listens: no download, at once
        },
    )
    yield made
    for process in made.started:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


@dataclass(frozen=True)
class Compiler:
    """The other end of GO_THAT_WAITS."""

    calls: Path
    started: Path
    gate: Path

    def wait(self) -> int:
        """Return the pid of the build once it runs."""
        return int(self.started.read_text())

    def go_on(self) -> None:
        self.gate.write_text("\n")

    def builds(self) -> int:
        return len(self.calls.read_text().splitlines())


@pytest.fixture
def compiler(clone: Clone, tmp_path: Path) -> Compiler:
    go = clone.path / "go"
    go.write_text(GO_THAT_WAITS)
    go.chmod(0o755)
    made = Compiler(tmp_path / "calls", tmp_path / "started", tmp_path / "gate")
    os.mkfifo(made.started)
    os.mkfifo(made.gate)
    clone.environment |= {
        "CALLS": str(made.calls),
        "STARTED": str(made.started),
        "GATE": str(made.gate),
    }
    return made


def test_without_a_python_it_says_which_one_to_install(clone: Clone) -> None:
    (clone.path / "python3").unlink()
    code, message = clone.run()
    assert code == 1
    assert message.count("\n") == 1
    assert "no Python 3.11 or newer is on PATH: install one" in message


def test_a_python_that_is_too_old_is_passed_over(clone: Clone) -> None:
    (clone.path / "python3").unlink()
    (clone.path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (clone.path / "python3").chmod(0o755)
    (clone.path / "python3.12").symlink_to(sys.executable)
    code, message = clone.run("nothing")
    assert code == 2
    assert "no such component: nothing" in message


def test_without_pulumi_download_and_go_it_fails_with_one_clear_sentence(clone: Clone) -> None:
    code, message = clone.run("pulumi")
    assert code == 1
    last = message.splitlines()[-1]
    assert last.startswith("bootstrap: pulumi is not on PATH and could not be got (official")
    assert "building with Go: there is no Go to build it" in last
    assert last.endswith("install Pulumi 3.259.0 or newer, or Go 1.25 or newer, and run again")
    assert "Traceback" not in message


def test_two_at_a_time_build_once(clone: Clone, compiler: Compiler) -> None:
    first = clone.start("stripe-mock")
    compiler.wait()
    second = clone.start("stripe-mock")
    assert second.stderr is not None
    waiting = next(line for line in second.stderr if "another bootstrap" in line)
    assert waiting == (
        "bootstrap: stripe-mock: another bootstrap is getting it; waiting for that one\n"
    )
    compiler.go_on()
    assert first.wait(TIMEOUT_S) == 0
    assert second.wait(TIMEOUT_S) == 0
    assert compiler.builds() == 1
    assert (clone.root / ".tools" / "bin" / "stripe-mock").read_text() == "built\n"


def test_a_ready_tree_needs_nothing_and_says_nothing(clone: Clone, compiler: Compiler) -> None:
    first = clone.start("stripe-mock")
    compiler.wait()
    compiler.go_on()
    assert first.wait(TIMEOUT_S) == 0
    assert clone.run("stripe-mock") == (0, "")
    assert compiler.builds() == 1


def test_ctrl_c_ends_the_build_and_leaves_nothing_half_made(
    clone: Clone, compiler: Compiler
) -> None:
    process = clone.start("stripe-mock")
    build = compiler.wait()
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert message.splitlines()[-1].startswith("bootstrap: interrupted; nothing half-made is left")
    assert "Traceback" not in message
    assert clone.cached() == []
    with pytest.raises(ProcessLookupError):
        os.kill(build, 0)


def test_what_a_killed_run_left_is_cleared_away(clone: Clone, compiler: Compiler) -> None:
    killed = clone.start("stripe-mock")
    build = compiler.wait()
    killed.kill()
    killed.communicate(timeout=TIMEOUT_S)
    os.kill(build, signal.SIGKILL)
    assert [path.name[0] for path in clone.cached()] == ["."]
    again = clone.start("stripe-mock")
    compiler.wait()
    compiler.go_on()
    assert again.wait(TIMEOUT_S) == 0
    assert [path.name.split("-")[0] for path in clone.cached()] == ["stripe"]


def test_help_names_every_component_and_the_cache(clone: Clone) -> None:
    process = clone.start("--help")
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    for word in (
        "venv",
        "pulumi",
        "promtool",
        "amtool",
        "stripe-mock",
        "image",
        ".cache}/coinslot",
    ):
        assert word in output
