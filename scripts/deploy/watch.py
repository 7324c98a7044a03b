"""Watch the cluster while the engine applies a release; tell what goes wrong, and end it in time.

The engine alone would wait for ten minutes, and then not know why. A cluster that doesn't answer
is no reason to end anything: the engine decides then.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from scripts import console
from scripts.deploy.engine import EngineFailedError, Event
from scripts.deploy.rollout import KINDS, Key, Rollout, State, Trouble, is_pulled, key
from scripts.kubectl import Kubectl, Object
from scripts.programs import ProgramError

REQUEST_TIMEOUT_S: Final = 5.0
LOG_LINES: Final = 5
SETTLE_TIMEOUT_S: Final = 600.0  # the engine's own for a Deployment
SETTLE_LOOK_S: Final = 1.0
APPLIES: Final = frozenset(("create", "update", "replace", "create-replacement"))
"""What the engine may do to an object whose pods then matter."""


class RolloutError(EngineFailedError):
    """A release can't succeed; `trouble` is why."""

    def __init__(self, operation: str, trouble: Trouble) -> None:
        super().__init__(f"{operation} failed: {trouble}")
        self.trouble = trouble


class Watch:
    """Looks at a namespace whenever the engine lets it (Watcher in scripts/deploy/engine.py)."""

    def __init__(self, namespace: str, operation: str) -> None:
        self._kubectl = Kubectl(namespace=namespace, request_timeout_s=REQUEST_TIMEOUT_S)
        self._operation = operation
        self._applied: set[Key] = set()
        self._changed: set[Key] = set()
        self._blind = False
        before = self._state()
        self._rollout = Rollout(before) if before else None

    def look(self, events: Sequence[Event]) -> None:
        """Take in the engine's latest events; raise RolloutError when waiting makes no sense."""
        self._follow(events)
        state = self._state()
        if state is None:
            return
        if self._rollout is None:  # what could not be seen at the start counts as old
            self._rollout = Rollout(state)
        news, overdue = self._rollout.judge(state, self._applied, time.monotonic())
        for trouble in news:
            console.note(f"{self._operation}: {trouble}")
        if over := next((each for each in overdue if not self._is_pulled(each)), None):
            self._give_up(state, over)

    def succeeded(self, events: Sequence[Event]) -> None:
        """Wait until what was changed has rolled out; raise RolloutError when it does not.

        The engine looks at a Deployment right after it has changed it, and may still see the
        conditions of the revision before.
        """
        self._follow(events)
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while (state := self._state()) and (rolling := state.rolling(self._changed)):
            self._applied = rolling
            if time.monotonic() > deadline:
                names = ", ".join(sorted(" ".join(each) for each in rolling))
                raise EngineFailedError(f"{names}: not rolled out after {SETTLE_TIMEOUT_S:g} s")
            self.look(())
            time.sleep(SETTLE_LOOK_S)

    def failed(self, events: Sequence[Event]) -> None:
        """Raise RolloutError if the cluster shows what the engine has failed for."""
        self._follow(events)
        state = self._state()
        if state and self._rollout and (cause := self._rollout.cause(state, self._applied)):
            self._give_up(state, cause)

    def _follow(self, events: Sequence[Event]) -> None:
        """Note what the engine is working on."""
        for event in events:
            if begun := event.get("resourcePreEvent"):
                self._applied |= set(_applied(begun["metadata"]))
                self._changed |= self._applied
            elif done := event.get("resOutputsEvent"):
                self._applied -= set(_applied(done["metadata"]))

    def _state(self) -> State | None:
        try:
            state = State(self._kubectl.items(KINDS))
        except ProgramError as error:
            if not self._blind:
                console.note(f"{self._operation}: the cluster can't be watched now: {error}")
            self._blind = True
            return None
        self._blind = False
        return state

    def _give_up(self, state: State, trouble: Trouble) -> None:
        message = trouble.message
        try:
            message += self._unhealthy(trouble)
            for line in self._log(state, trouble):
                console.note(f"{self._operation}: {line}")
        except Exception as error:  # noqa: BLE001  whatever it is, the trouble is to be told
            console.note(f"{self._operation}: no more is known: {error}")
        raise RolloutError(self._operation, trouble.saying(message))

    def _is_pulled(self, trouble: Trouble) -> bool:
        """Return whether a missing image may be there soon: its kubelet is trying again now."""
        if trouble.kind != "image":
            return False
        try:
            return is_pulled(self._events(trouble), trouble.container)
        except ProgramError as error:
            console.note(f"{self._operation}: no pull can be seen: {error}")
            return False

    def _unhealthy(self, trouble: Trouble) -> str:
        """Return what the kubelet said last about a probe that fails."""
        if trouble.kind not in ("unready", "crash"):
            return ""
        messages = [event.get("message", "") for event in self._events(trouble, "reason=Unhealthy")]
        return f"; {' '.join(messages[-1].split())}" if messages else ""

    def _events(self, trouble: Trouble, *selectors: str) -> list[Object]:
        """Return what is reported about a pod."""
        selector = ",".join((f"involvedObject.uid={trouble.uid}", *selectors))
        return self._kubectl.items("events", f"--field-selector={selector}")

    def _log(self, state: State, trouble: Trouble) -> list[str]:
        """Return the last lines of what has failed, after a line that says whose they are."""
        if trouble.kind == "failed":
            pods = sorted(state.made_by(trouble.uid), key=_created)
            name, more = (pods[-1]["metadata"]["name"] if pods else ""), []
        elif trouble.kind == "crash":
            name, more = trouble.pod, [f"--container={trouble.container}", "--previous"]
        else:
            return []
        if not name:
            return [f"no pod of {' '.join(trouble.owner)} is left to show its log"]
        lines = self._kubectl("logs", name, f"--tail={LOG_LINES}", *more).splitlines()
        return (
            [f"the last lines of pod {name}:", *lines] if lines else [f"pod {name} logged nothing"]
        )


def _applied(resource: Mapping[str, Any]) -> Iterator[Key]:
    inputs = (resource.get("new") or {}).get("inputs") or {}
    if resource["op"] in APPLIES and isinstance(inputs.get("kind"), str):
        yield key(inputs)


def _created(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))
