"""Runs the Pulumi engine: the real CLI, as `make` verbs, rendering and tests use it.

With no backend given, the clone's own state and the defaults of scripts/pulumi apply. A throw-away
backend is any empty folder.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal

from infra.config import RENDER_DIR_VARIABLE
from infra.labels import PROJECT

Operation = Literal["preview", "up", "refresh", "destroy"]

ROOT: Final = Path(__file__).resolve().parents[1]
BINARIES: Final = ROOT / ".venv" / "bin"
PASSPHRASE: Final = "development"  # noqa: S105  guards a state that holds no secret of anybody's

ARGUMENTS: Final[Mapping[Operation, Sequence[str]]] = {
    "preview": ("preview",),
    "up": ("up", "--yes", "--skip-preview"),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
}
RENDERS: Final = re.compile(rf"^\s*['\"]?{PROJECT}:target['\"]?:\s*['\"]?render\b", re.MULTILINE)
"""In a stack's file; the engine itself says what is wrong with one that can't be parsed."""
INIT_TIMEOUT_S: Final = 60.0  # writes one small file; a minute is for a machine that is swamped
OPERATION_TIMEOUT_S: Final = 1_800.0  # the migration's deadline and two rollouts', twice over
STOP_TIMEOUT_S: Final = 60.0  # after Ctrl-C the engine ends what it has begun and saves its state


class EngineMissingError(Exception):
    """The Pulumi CLI is not there; the message says how to get it."""


class EngineFailedError(Exception):
    """The engine ended with an error; it has said itself what is wrong."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did: `changes` counts resources by what happened (`create`, `same`, …)."""

    operation: Operation
    stack: str
    changes: Mapping[str, int]
    seconds: float

    @property
    def unchanged(self) -> bool:
        """Say whether every resource is as it was."""
        return not any(count for kind, count in self.changes.items() if kind != "same")


@dataclass(frozen=True, slots=True)
class Engine:
    """Where the state is, where manifests go, and where the engine's own output goes."""

    backend: Path | None = None
    """A folder for the state; None is the clone's own, or what PULUMI_BACKEND_URL says."""
    render_dir: Path | None = None
    """The parent of the stacks' manifests; None is infra/rendered."""
    output: IO[Any] | int | None = None
    """Where the engine writes; None is this process's stdout."""
    config_file: Path | None = None
    """Another file with the stack's settings."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, operation: Operation, stack: str) -> Outcome:
        """Run one operation to its end; raise EngineMissingError or EngineFailedError.

        A stack that doesn't exist yet is made first.
        """
        self._init(stack)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "events.json"
            arguments = [*ARGUMENTS[operation], "--stack", stack, "--event-log", str(log)]
            if self.config_file:
                arguments += ["--config-file", str(self.config_file)]
            code = self._wait(self._start(arguments, self._extra(operation, stack)))
            if code:
                raise EngineFailedError(f"{operation} of {stack} failed (exit code {code})")
            changes = _changes(log)
        return Outcome(operation, stack, changes, round(time.monotonic() - began, 1))

    def exists(self, stack: str) -> bool:
        """Say whether the backend knows the stack."""
        names = {entry["name"] for entry in json.loads(self._ask("stack", "ls", "--json"))}
        return stack in names

    def export(self, stack: str) -> dict[str, Any]:
        """Return the stack's state, as `pulumi stack export` does."""
        state: dict[str, Any] = json.loads(self._ask("stack", "export", "--stack", stack))
        return state

    def _init(self, stack: str) -> None:
        if not self.exists(stack):
            self._ask("stack", "init", stack, "--no-select")

    def _ask(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                self._command(arguments),
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INIT_TIMEOUT_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise EngineFailedError(str(error.stderr).strip()) from error
        return done.stdout

    def _extra(self, operation: Operation, stack: str) -> dict[str, str]:
        """Return variables for one operation only."""
        file = self.config_file or ROOT / f"Pulumi.{stack}.yaml"
        if operation == "refresh" and RENDERS.search(file.read_text(encoding="utf-8")):
            # The official provider would look for a cluster; with this it keeps what it rendered.
            # Set for an update, the same variable makes it crash (4.34).
            return {"PULUMI_K8S_SKIP_UPDATE_UNREACHABLE": "true"}
        return {}

    def _start(
        self, arguments: Sequence[str], extra: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command([*arguments, "--color", "auto"]),
            cwd=ROOT,
            env={**self._environment(), **extra},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT if self.output is not None else None,
        )

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(OPERATION_TIMEOUT_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise

    def _command(self, arguments: Sequence[str]) -> list[str]:
        command = BINARIES / "pulumi"
        if not command.exists():
            raise EngineMissingError(f"{command} is missing: run scripts/bootstrap pulumi")
        return [str(command), "--non-interactive", *arguments]

    def _environment(self) -> dict[str, str]:
        # The event log is the engine's machine-readable report, as its Automation API reads it.
        environment = {**self.environ, "PULUMI_DEBUG_COMMANDS": "true"}
        environment["PATH"] = os.pathsep.join((str(BINARIES), environment.get("PATH", "")))
        if self.backend:
            self.backend.mkdir(parents=True, exist_ok=True)
            environment["PULUMI_BACKEND_URL"] = self.backend.resolve().as_uri()
            environment["PULUMI_CONFIG_PASSPHRASE"] = PASSPHRASE
        if self.render_dir:
            environment[RENDER_DIR_VARIABLE] = str(self.render_dir.resolve())
        return environment


def _changes(log: Path) -> dict[str, int]:
    """Return the counts of the last summary in an event log."""
    for line in reversed(log.read_text().splitlines()):
        event = json.loads(line).get("summaryEvent")
        if event:
            return dict(event.get("resourceChanges", {}))
    raise EngineFailedError("the engine ended without a summary")
