"""Waits for an object to work or to be gone, until a deadline or the engine's Cancel.

It asks again and again instead of watching: a question is one small GET, a watch can be cut off
or lag behind without notice, and a missed event would cost the whole timeout.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from infra.offline_provider import objects
from infra.offline_provider.cluster import readiness
from infra.offline_provider.cluster.api import Api, ApiError, UnreachableError
from infra.offline_provider.cluster.readiness import State, Verdict
from infra.offline_provider.cluster.reasons import Neighbours
from infra.offline_provider.objects import Object
from infra.offline_provider.target import NotReadyError

FIRST_POLL_S: Final = 0.1  # most objects are ready at once
POLL_GROWTH: Final = 1.5
MAX_POLL_S: Final = 2.0  # sixteen waits make eight requests a second then
TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})
"""Answers of an API server that is not well; a wait outlives them."""

READY, GONE = "ready", "gone"
"""The last words beside an object, so that none of its troubles stands there for good."""

Say = Callable[[str], None]


class GoneError(ValueError):
    """The object was deleted while we waited for it."""


class StillThereError(ValueError):
    """The object did not go in time."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One object's wait: what to call it, where it is, and for how long."""

    label: str
    path: str
    timeout_s: float
    say: Say


class Waiter:
    """Waits; `stop` is set when the engine wants everything to end."""

    def __init__(self, api: Api, neighbours: Neighbours, stop: threading.Event) -> None:
        self._api = api
        self._neighbours = neighbours
        self._stop = stop

    def until_ready(self, live: Object, wait: Wait) -> Object:
        """Return the object once it works.

        Raises NotReadyError with the reasons when it can't, when time is up or on Cancel, and
        GoneError when somebody deleted it.
        """
        uid = live["metadata"].get("uid")
        verdict, said = self.judge(live), ""
        for ending in self._ticks(wait):
            if verdict.state is State.READY:
                if said:
                    wait.say(READY)
                return live
            if verdict.state is State.FAILED or ending:
                raise self._not_ready(live, wait, verdict, ending)
            said = self._say(wait, verdict.text, said)
            found = self._look(wait.path, otherwise=live)
            if found is None or found["metadata"].get("uid") != uid:
                raise GoneError(f"{wait.label} was deleted while we waited for it")
            live, verdict = found, self.judge(found)
        raise AssertionError("the last tick raises")

    def until_gone(self, live: Object, wait: Wait) -> None:
        """Return once the object is gone, or is another one of the same name."""
        uid, said = live["metadata"].get("uid"), ""
        for ending in self._ticks(wait):
            found = self._look(wait.path, otherwise=live)
            if found is None or found["metadata"].get("uid") != uid:
                if said:
                    wait.say(GONE)
                return
            live = found
            held = _held_by(live)
            if ending:
                raise StillThereError(f"{wait.label} is still there {ending}: {held}")
            said = self._say(wait, f"waiting for it to go: {held}", said)

    def _ticks(self, wait: Wait) -> Iterator[str]:
        """Yield at growing distances; the last time, say why it is the last."""
        deadline = time.monotonic() + wait.timeout_s
        pause = FIRST_POLL_S
        yield ""
        while (left := deadline - time.monotonic()) > 0:
            if self._stop.wait(min(pause, left)):
                yield "when the engine cancelled"
                return
            yield ""
            pause = min(pause * POLL_GROWTH, MAX_POLL_S)
        yield f"after {wait.timeout_s:g} s"

    @staticmethod
    def _say(wait: Wait, text: str, before: str) -> str:
        if text != before:
            wait.say(text)
        return text

    def judge(self, live: Object) -> Verdict:
        """Return how far the object is now."""
        return readiness.judge(live, lambda *query: self._neighbours.related(live, *query))

    def _look(self, path: str, otherwise: Object) -> Object | None:
        try:
            return self._api.find(path)
        except UnreachableError:
            return otherwise
        except ApiError as error:
            if error.code in TRANSIENT:
                return otherwise
            raise

    def _not_ready(self, live: Object, wait: Wait, verdict: Verdict, ending: str) -> NotReadyError:
        failed = verdict.state is State.FAILED
        first = f"{wait.label} failed" if failed else f"{wait.label} is not ready {ending}"
        return NotReadyError(live, [f"{first}: {verdict.text}", *self._neighbours.reasons(live)])


def _held_by(live: Object) -> str:
    """Return what keeps a deleted object."""
    finalizers = [f"finalizer {each}" for each in objects.metadata(live).get("finalizers") or []]
    said = [
        str(found["message"])
        for found in (live.get("status") or {}).get("conditions") or []
        if found.get("status") == "True" and found.get("message")
    ]
    return "; ".join(finalizers + said) or "its pods end first, or nobody took its deletion up"
