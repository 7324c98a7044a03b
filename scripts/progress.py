"""What the engine is doing, an object a line: what happened to it, how long it took, what is left.

On a terminal the last line shows what is being waited for, and for how long; elsewhere (a log file)
there are plain lines only.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from scripts.events import Event

WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "create": ("+", "created", "green"),
    "update": ("~", "updated", "yellow"),
    "replace": ("±", "replaced", "magenta"),
    "create-replacement": ("±", "made anew", "magenta"),
    "delete-replaced": ("±", "old one deleted", "magenta"),
    "delete": ("-", "deleted", "red"),
}
"""By the engine's name of an operation: sign, what happened, colour."""
SLOW: Final = ("Deployment", "StatefulSet", "Job")
"""Kinds whose pods are waited for: a log says when that begins."""
AMBIENT: Final = "from $PATH at"
"""The engine's note that the provider is where tools/bootstrap has put it."""
SHOWN_FIELDS: Final = 8
SHOWN_WAITED: Final = 3


class View:
    """Turns events into lines. Use it as a context, and give `take` to the engine.

    Without `changes` what happens to objects is left to others to tell.
    """

    def __init__(
        self,
        title: str,
        console: Console,
        *,
        changes: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._console = console
        self._changes = changes
        self._clock = clock
        self._running: dict[str, tuple[str, float]] = {}
        self._fields: dict[str, list[str]] = {}
        self._done = 0
        self.failed = False
        """Whether an error was shown already."""
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task(self._title, total=None)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def take(self, event: Event) -> None:
        """Show what an event tells; most tell nothing that a person wants to know."""
        if begun := event.get("resourcePreEvent"):
            self._begin(begun["metadata"])
        elif ended := event.get("resOutputsEvent"):
            self._end(ended["metadata"])
        elif broken := event.get("resOpFailedEvent"):
            self._fail(broken["metadata"])
        elif said := event.get("diagnosticEvent"):
            self._say(said)
        elif judged := event.get("policyEvent"):
            self._judge(judged)
        if self._task is not None:
            self._bar.update(self._task, description=self._waiting())

    def _begin(self, resource: Mapping[str, Any]) -> None:
        urn, name = resource["urn"], label(resource)
        if not is_object(resource):
            return
        self._running[urn] = (name, self._clock())
        self._fields[urn] = sorted(resource.get("detailedDiff") or resource.get("diffs") or ())
        waits = resource["op"] in WORDS and resource["type"].rpartition(":")[2] in SLOW
        if self._changes and waits and not self._console.is_terminal:
            self._print(f"  … {name}: {resource['op']}", "dim")

    def _end(self, resource: Mapping[str, Any]) -> None:
        name, seconds = self._taken(resource)
        if not is_object(resource):
            return
        self._done += 1
        if self._changes and resource["op"] in WORDS:
            sign, word, style = WORDS[resource["op"]]
            self._print(f"  {sign} {name} {word}, {seconds:.1f} s", style)
            for field in _short(self._fields.get(resource["urn"], ())):
                self._print(f"      {field}", "dim")

    def _fail(self, resource: Mapping[str, Any]) -> None:
        name, seconds = self._taken(resource)
        self._print(f"  ! {name}: {resource['op']} failed after {seconds:.1f} s", "bold red")

    def _say(self, said: Mapping[str, Any]) -> None:
        severity = str(said.get("severity", "info"))
        text = str(said.get("message", "")).strip()
        if severity.startswith("info") or not text or AMBIENT in text:
            return
        self.failed |= severity == "error"
        style = "bold red" if severity == "error" else "yellow"
        self._print(f"  {severity}: {text}", style)

    def _judge(self, judged: Mapping[str, Any]) -> None:
        mandatory = judged.get("enforcementLevel") == "mandatory"
        self.failed |= mandatory
        text = " ".join(str(judged.get("message", "")).split())
        style = "bold red" if mandatory else "yellow"
        self._print(f"  policy {judged.get('policyName')}: {text}", style)

    def _taken(self, resource: Mapping[str, Any]) -> tuple[str, float]:
        now = self._clock()
        name, began = self._running.pop(resource["urn"], (label(resource), now))
        return name, now - began

    def _waiting(self) -> str:
        names = [name for name, _ in self._running.values()]
        more = f" and {len(names) - SHOWN_WAITED} more" if len(names) > SHOWN_WAITED else ""
        waited = f", waiting for {', '.join(names[:SHOWN_WAITED])}{more}" if names else ""
        return f"{self._title}: {self._done} objects done{waited}"

    def _print(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


def is_object(resource: Mapping[str, Any]) -> bool:
    """Say whether this is something on the cluster, and no component, provider or stack."""
    kind = str(resource["type"])
    return kind.startswith("kubernetes:")


def label(resource: Mapping[str, Any]) -> str:
    """Return kind and name of the object, or the name in the program if that is all there is."""
    kind = str(resource["type"]).rpartition(":")[2]
    for side in ("new", "old"):
        inputs = (resource.get(side) or {}).get("inputs") or {}
        name = (inputs.get("metadata") or {}).get("name")
        if isinstance(name, str):
            return f"{inputs.get('kind', kind)} {name}"
    return f"{kind} {str(resource['urn']).rpartition('::')[2]}"


def _short(fields: Sequence[str]) -> Iterator[str]:
    yield from fields[:SHOWN_FIELDS]
    if len(fields) > SHOWN_FIELDS:
        yield f"… and {len(fields) - SHOWN_FIELDS} more"
