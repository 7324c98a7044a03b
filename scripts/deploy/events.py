"""The engine's event log, read while it is written.

The log is a named pipe: what the engine writes is there at once, and nobody has to look again and
again. Each line is one event as JSON, as Pulumi's Automation API reads it.
"""

import json
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

Event = dict[str, Any]

END: Final = b"\n"
"""An empty line, which the engine never writes: the reader's sign that it has ended."""


class EventLog:
    """A pipe with a reader behind it, for one operation; `events` are complete after the context.

    Debug messages of the engine are left out.
    """

    def __init__(self, listen: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self._listen = listen
        self._folder = tempfile.TemporaryDirectory(prefix="coinslot-events-")
        self.path = Path(self._folder.name) / "events"
        self._failure: Exception | None = None
        self._reader = threading.Thread(target=self._read, name="events", daemon=True)

    def __enter__(self) -> Self:
        os.mkfifo(self.path, 0o600)
        # Held open for reading and writing, so that neither side ever waits for the other to come.
        self._pipe = os.open(self.path, os.O_RDWR)
        self._reader.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        os.write(self._pipe, END)
        self._reader.join()
        os.close(self._pipe)
        self._folder.cleanup()
        if self._failure:
            raise self._failure

    def _read(self) -> None:
        with os.fdopen(os.dup(self._pipe), "rb") as lines:
            for line in lines:
                if line == END:
                    return
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event: Event = json.loads(line)
        except ValueError:  # the engine was killed in the middle of a line
            return
        if event.get("diagnosticEvent", {}).get("severity") == "debug":
            return
        self.events.append(event)
        if self._listen and not self._failure:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        """Keep a listener's error for later: a pipe that nobody reads would stop the engine."""
        try:
            if self._listen:
                self._listen(event)
        except Exception as error:  # noqa: BLE001  raised again where the context ends
            self._failure = error
