"""What locust's leader and workers need so that nothing that a worker measured is lost.

A worker's last report may still be on its way when the leader ends. So the leader ends the run only
when each worker has reported once more after its last user has gone.
"""

from functools import cache
from typing import Any, Final

import zmq.green.core
from locust import argument_parser, runners

MISSED_EVENT_S: Final = 1.0
"""Sockets on gevent miss an event now and then, and look for themselves after this. The library's
11.6 s are longer than a leader waits for a sign of life: a busy machine would lose its workers."""

SIGNS_OF_LIFE: Final = 30
"""Seconds of silence, instead of 3, after which a worker counts as dead. It may be starved."""


def steady() -> None:
    """Let leader and workers bear a machine that is busy; call it before they start.

    A worker that is told of new users, each second while they arrive, makes locust's parser of
    arguments some eighty times to read the same defaults. All its users would stand still for a
    tenth of a second.
    """
    zmq.green.core._Socket._gevent_bug_timeout = MISSED_EVENT_S  # noqa: SLF001  no other way
    runners.HEARTBEAT_LIVENESS = SIGNS_OF_LIFE
    argument_parser.default_args_dict = cache(argument_parser.default_args_dict)


class LastReports:
    """Which workers have reported since a moment."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def begin(self) -> None:
        """Forget earlier reports."""
        self._seen.clear()

    def note(self, worker: str) -> None:
        """Note that a worker has reported."""
        self._seen.add(worker)

    def count(self, runner: Any) -> int:
        """Return how many processes with users have reported; one without workers needs not."""
        return len(self._seen) if leads(runner) else 1

    def complete(self, runner: Any) -> bool:
        """Tell whether no report is missing."""
        return not leads(runner) or self._seen >= set(runner.clients)


def leads(runner: Any) -> bool:
    """Tell whether this process leads workers."""
    return isinstance(runner, runners.MasterRunner)
