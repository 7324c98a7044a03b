"""Runs the Pulumi engine: the real CLI, as `make` targets, rendering and tests use it.

With no backend given, the clone's own state and the defaults of scripts/pulumi apply. A throw-away
backend is any empty folder.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol

from infra.labels import PROJECT
from infra.stacks import RENDER_DIR_VARIABLE
from scripts import ROOT, console, programs
from scripts.deploy import empty_state, home

Operation = Literal["preview", "up", "refresh", "destroy", "drift"]

PASSPHRASE: Final = "development"  # noqa: S105  guards a state that holds no secret of anybody's

POLICY_PACK: Final = ROOT / "infra" / "policy" / "pack"
"""The engine asks it about each preview. In an update it would ask when all is applied, which is
too late; so `make up` previews first."""

ARGUMENTS: Final[Mapping[Operation, Sequence[str]]] = {
    "preview": ("preview", "--policy-pack", str(POLICY_PACK)),
    "up": ("up", "--yes", "--skip-preview"),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
    "drift": ("refresh", "--preview-only"),
}
LOOKS: Final = ("preview", "drift")
"""Change nothing, so they go without the engine's own log, which takes half of its time."""
RENDERS: Final = re.compile(rf"^\s*['\"]?{PROJECT}:target['\"]?:\s*['\"]?render\b", re.MULTILINE)
"""In a stack's file; the engine itself says what is wrong with one that can't be parsed."""
LOCAL: Final = "file://"
OWN_STATE: Final = ROOT / ".state" / "pulumi"
"""The clone's own backend, which scripts/pulumi uses where none is given."""
NAME_IN_USE: Final = "already exists"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
"""Results in the history."""
REFUTED: Final = "the update before has failed: "
"""Begins the message of a refresh: the engine had looked too early, and called it a success."""
Event = Mapping[str, Any]
LOOK_S: Final = 2.0  # between a watcher's looks at the cluster, each a fifth of a second's work
INIT_TIMEOUT_S: Final = 60.0  # writes one small file; a minute is for a machine that is swamped
OPERATION_TIMEOUT_S: Final = 1_800.0  # the migration's deadline and two rollouts', twice over
STOP_TIMEOUT_S: Final = 60.0  # after Ctrl-C the engine ends what it has begun and saves its state
FINISH_TIMEOUT_S: Final = 10.0  # a question takes half a second; a second Ctrl-C doesn't wait


class EngineFailedError(Exception):
    """The engine ended with an error; it has said itself what is wrong."""


class Watcher(Protocol):
    """Looks after an operation from outside; `events` are the engine's since the last call."""

    def look(self, events: Sequence[Event]) -> None:
        """Raise EngineFailedError to end the operation, in the way that Ctrl-C does."""

    def failed(self, events: Sequence[Event]) -> None:
        """Raise EngineFailedError if it is known what the engine has failed for."""

    def succeeded(self, events: Sequence[Event]) -> None:
        """Raise EngineFailedError if it has succeeded too early."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did: `changes` counts resources by what happened (`create`, `same`, …)."""

    operation: Operation
    stack: str
    changes: Mapping[str, int]
    seconds: float
    events: Sequence[Event] = field(default=(), repr=False)

    @property
    def unchanged(self) -> bool:
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
    """Another file with the stack's settings than the tree's Pulumi.<stack>.yaml."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    root: Path = ROOT
    """The tree whose program and settings are used; the tools are always this clone's."""
    throw_away: bool = False
    """Nobody wants the state of a run that was cut off, nor the engine's own logs of it: with a
    backend given, a run needs less than half the time without them."""

    def run(
        self, operation: Operation, stack: str, message: str = "", watcher: Watcher | None = None
    ) -> Outcome:
        """Run one operation to its end; raise ProgramError or EngineFailedError.

        A stack that doesn't exist yet is made first. `message` stands in the stack's history. An
        update that is watched first takes over what one before it has left half done.
        """
        self.init(stack)
        if operation == "up" and watcher and self._was_cut_off(stack):
            console.note(f"{stack}: the operation before failed: reading what it has changed")
            self.run("refresh", stack)
        began = time.monotonic()
        with (
            tempfile.NamedTemporaryFile(prefix="coinslot-events-") as log,
            self._extra(operation, stack) as extra,
        ):
            arguments = [*ARGUMENTS[operation], "--stack", stack, "--event-log", log.name]
            if self.config_file:
                arguments += ["--config-file", str(self.config_file)]
            if message:
                arguments += ["--message", message]
            events = _Events(Path(log.name))
            process = self._start(arguments, extra)
            code = _wait(process, stack, events, watcher)
            latest = events.new()
            if watcher and not code:
                self._settle(stack, watcher, latest)
            elif watcher:
                watcher.failed(latest)
            if code:
                # It reports from the moment on when it has the stack's lock.
                lock = f"; if a lock is in its way that nobody needs: make unlock STACK={stack}"
                hint = "" if events.all else lock
                raise EngineFailedError(f"{operation} of {stack} failed (exit code {code}){hint}")
        seconds = round(time.monotonic() - began, 1)
        return Outcome(operation, stack, _changes(events.all), seconds, events.all)

    def exists(self, stack: str) -> bool:
        if folder := self._local_backend():  # half a second less than asking
            if not (folder / ".pulumi").exists():
                return False
            if (folder / ".pulumi" / "stacks" / PROJECT / f"{stack}.json").exists():
                return True
        names = {entry["name"] for entry in json.loads(self._ask("stack", "ls", "--json"))}
        return stack in names

    def export(self, stack: str) -> Any:
        return json.loads(self._ask("stack", "export", "--stack", stack))

    def take(self, stack: str, document: Any) -> None:
        """Put an exported state in place of the present one, without its pending operations."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(document, file)
            file.flush()
            self._ask("stack", "import", "--stack", stack, "--file", file.name)

    def look_for_lock(self, stack: str) -> None:
        """Raise EngineFailedError, which names the lock, if an engine works on the stack."""
        try:
            # No question is about locks. This takes one, and then finds that the name is in use.
            self._ask("stack", "rename", stack, "--stack", stack)
        except EngineFailedError as error:
            if NAME_IN_USE not in str(error):
                raise

    def cancel(self, stack: str) -> None:
        """Remove every lock of a stack, whoever holds it."""
        self._ask("cancel", "--yes", "--stack", stack)

    def history(self, stack: str) -> Any:
        """Return all that was ever done to the stack, the newest first."""
        if not self.exists(stack):
            return []
        # Without a page size it is the last ten; 0 stands for all.
        text = self._ask("stack", "history", "--stack", stack, "--json", "--page-size", "0")
        return json.loads(text)

    def _settle(self, stack: str, watcher: Watcher, events: Sequence[Event]) -> None:
        """Let the watcher judge what the engine calls a success; note it in the history if not."""
        try:
            watcher.succeeded(events)
        except EngineFailedError as error:
            with contextlib.suppress(EngineFailedError):  # it says itself what is wrong
                self.run("refresh", stack, f"{REFUTED}{error}")
            raise

    def _was_cut_off(self, stack: str) -> bool:
        """Return whether objects may have changed without the state knowing.

        The official provider can't look once more at what it waits for when it is told to end, so
        the state keeps what was before (4.25, `readLiveObject`).
        """
        text = self._ask("stack", "history", "--stack", stack, "--json", "--page-size", "1")
        return any(each["result"] != SUCCEEDED for each in json.loads(text))

    def set_secrets(self, stack: str, values: Mapping[str, str]) -> None:
        if values:
            self.init(stack)
            pairs = [word for key, text in values.items() for word in ("--secret", f"{key}={text}")]
            self._ask("config", "set-all", *self._settings(stack), "--path", *pairs)

    def set_secret(self, stack: str, key: str, text: str) -> None:
        """Encrypt one value, which no list of processes shows."""
        self.init(stack)
        self._ask("config", "set", *self._settings(stack), "--path", "--secret", key, given=text)

    def config(self, stack: str, key: str) -> str:
        """Return a setting in the clear."""
        return self._ask("config", "get", *self._settings(stack), "--path", key)

    def init(self, stack: str) -> None:
        if self.exists(stack):
            return
        if self.backend and self.throw_away:
            empty_state.write(self.backend, stack)
            return
        if not self.config_file:
            self._ask("stack", "init", stack, "--no-select")
            return
        # That knows no --config-file, and proves the passphrase by the file of where it runs.
        with tempfile.TemporaryDirectory(prefix="coinslot-init-") as folder:
            there = Path(folder) / f"Pulumi.{stack}.yaml"
            shutil.copy(self.root / "Pulumi.yaml", folder)
            shutil.copy(self.config_file, there)
            replace(self, root=Path(folder), config_file=None).init(stack)
            if there.read_bytes() != self.config_file.read_bytes():  # it was given a salt
                shutil.copyfile(there, self.config_file)

    def settings_file(self, stack: str) -> Path:
        return self.config_file or self.root / f"Pulumi.{stack}.yaml"

    def _settings(self, stack: str) -> list[str]:
        file = ["--config-file", str(self.config_file)] if self.config_file else []
        return ["--stack", stack, *file]

    def _local_backend(self) -> Path | None:
        """Return the folder that holds the state, or None if it is elsewhere."""
        url = self.environ.get("PULUMI_BACKEND_URL", "")
        where = Path(url.removeprefix(LOCAL)) if url.startswith(f"{LOCAL}/") else None
        return self.backend or (where if url else OWN_STATE)

    def _ask(self, *arguments: str, given: str = "") -> str:
        process = subprocess.Popen(
            self._command(arguments),
            cwd=self.root,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,  # it doesn't hear the terminal's Ctrl-C
        )
        try:
            out, err = process.communicate(given, timeout=INIT_TIMEOUT_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            _finish(process)
            raise
        if process.returncode:
            raise EngineFailedError(err.strip())
        return out

    @contextlib.contextmanager
    def _extra(self, operation: Operation, stack: str) -> Iterator[dict[str, str]]:
        extra = self._of_refresh(operation, stack)
        if self.throw_away or operation not in LOOKS:
            yield extra
            return
        with home.like_present(self.environ) as folder:
            yield {**extra, home.VARIABLE: str(folder)}

    def _of_refresh(self, operation: Operation, stack: str) -> dict[str, str]:
        file = self.settings_file(stack)
        if operation in ("refresh", "drift") and RENDERS.search(file.read_text(encoding="utf-8")):
            # The official provider would look for a cluster; with this it keeps what it rendered.
            # Set for an update, the same variable makes it crash (4.25).
            return {"PULUMI_K8S_SKIP_UPDATE_UNREACHABLE": "true"}
        return {}

    def _start(
        self, arguments: Sequence[str], extra: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command([*arguments, "--color", "auto"]),
            cwd=self.root,
            env={**self._environment(), **extra},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT if self.output is not None else None,
            # A terminal sends Ctrl-C to its whole group, and the engine takes a second one for
            # "at once, whatever becomes of the state". In a group of its own it gets ours alone.
            process_group=0,
        )

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [str(programs.path_of("pulumi")), "--non-interactive", *arguments]

    def _environment(self) -> dict[str, str]:
        # The event log is the engine's machine-readable report, as its Automation API reads it.
        environment = {**self.environ, "PULUMI_DEBUG_COMMANDS": "true"}
        environment["PATH"] = os.pathsep.join((str(programs.BINARIES), environment.get("PATH", "")))
        if self.root != ROOT:
            # The venv knows this clone as an editable package; the other tree's own comes first.
            environment["PYTHONPATH"] = str(self.root)
        if self.backend:
            self.backend.mkdir(parents=True, exist_ok=True)
            environment["PULUMI_BACKEND_URL"] = self.backend.resolve().as_uri()
            environment["PULUMI_CONFIG_PASSPHRASE"] = PASSPHRASE
        if self.backend and self.throw_away:
            environment["PULUMI_SKIP_CHECKPOINTS"] = "true"
            environment[home.VARIABLE] = str(home.without_logs(self.backend / "home", environment))
        if self.render_dir:
            environment[RENDER_DIR_VARIABLE] = str(self.render_dir.resolve())
        return environment


class _Events:
    """What the engine reports, while it writes."""

    def __init__(self, log: Path) -> None:
        self.all: list[Event] = []
        self._log = log
        self._read = 0

    def new(self) -> list[Event]:
        """Return what has come since the last call."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            lines, _, _ = log.read().rpartition(b"\n")  # the last line may be only half there
        if not lines:
            return []
        self._read += len(lines) + 1
        found = [json.loads(line) for line in lines.splitlines()]
        self.all += found
        return found


def _wait(
    process: "subprocess.Popen[bytes]", stack: str, events: _Events, watcher: Watcher | None
) -> int:
    deadline = time.monotonic() + OPERATION_TIMEOUT_S
    try:
        while True:
            left = max(deadline - time.monotonic(), 0)
            try:
                return process.wait(min(left, LOOK_S) if watcher else left)
            except subprocess.TimeoutExpired:
                if not watcher or left <= LOOK_S:
                    raise
            watcher.look(events.new())
    except BaseException as reason:  # whatever it is, the engine would go on with the stack's lock
        if not _stop(process):
            raise EngineFailedError(
                f"{str(reason) or 'interrupted'}; the engine did not end when it was asked to, and "
                f"was killed: what it was doing is not in the state: make unlock STACK={stack}"
            ) from reason
        raise


def _stop(process: "subprocess.Popen[bytes]") -> bool:
    """Ask the engine to end; ask again when it takes too long, or when Ctrl-C is pressed again.

    Return whether it has ended by itself, with its state saved.
    """
    for _ in range(2):
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
            process.wait(STOP_TIMEOUT_S)
            return True
    process.kill()
    process.wait()
    return False


def _finish(process: "subprocess.Popen[str]") -> None:
    """Let a question come to its end: one that is cut off may leave its lock on the stack."""
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.communicate(timeout=FINISH_TIMEOUT_S)
        return
    process.kill()
    process.wait()


def _changes(events: Sequence[Event]) -> dict[str, int]:
    for event in reversed(events):
        if summary := event.get("summaryEvent"):
            return dict(summary.get("resourceChanges", {}))
    raise EngineFailedError("the engine ended without a summary")
