"""A process of the service whose system clock is wrong: `python -m tests.support.skewed S ROLE`.

What Python can ask for the time of day is moved by S seconds before the service is imported. The
monotonic clock is left alone, as a wrong wall clock leaves it.
"""

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

NANOSECONDS = 1_000_000_000


def shift(offset_s: float) -> None:
    """Let this process's clock be ahead by `offset_s`, or behind; again replaces nothing."""
    now, seconds, nanoseconds = datetime.now, time.time, time.time_ns

    def shifted_now(_kind: type[datetime], tz: tzinfo | None = None) -> datetime:
        return now(tz) + timedelta(seconds=offset_s)

    def shifted_utcnow(_kind: type[datetime]) -> datetime:
        return now(UTC).replace(tzinfo=None) + timedelta(seconds=offset_s)

    _replace(datetime, "now", shifted_now)
    _replace(datetime, "utcnow", shifted_utcnow)
    time.time = lambda: seconds() + offset_s
    time.time_ns = lambda: nanoseconds() + int(offset_s * NANOSECONDS)


def _replace(kind: type, name: str, method: Callable[..., Any]) -> None:
    """Put a class method into a type that is written in C, whose attributes can't be set.

    A subclass would not do: values of it are not datetimes to what looks at the exact type.
    """
    [attributes] = gc.get_referents(vars(kind))
    attributes[name] = classmethod(method)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


if __name__ == "__main__":
    shift(float(sys.argv[1]))
    from service.__main__ import main

    sys.exit(main(sys.argv[2:]))
