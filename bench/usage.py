"""What processes have used: CPU time and memory, read from the system."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

KIB_A_MB: Final = 1_024


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its children, also of those that have ended."""
    process = psutil.Process(pid)
    alive = []
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile, and is counted below
            alive.append(child.cpu_times())
    times = process.cpu_times()
    own = times.user + times.system + times.children_user + times.children_system
    return float(own + sum(each.user + each.system for each in alive))


def ended_children_s() -> float:
    """Return the CPU seconds of our own children that have ended, so of the load generator."""
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)


def peak_mb(pids: Iterable[int]) -> float:
    """Return the processes' peak resident memory, each by itself."""
    return sum(_kib(f"/proc/{pid}/status", ("VmHWM:",)) for pid in pids) / KIB_A_MB


def private_mb(pids: Iterable[int]) -> float:
    """Return the memory that the processes and their children share with nobody."""
    return (
        sum(
            _kib(f"/proc/{each.pid}/smaps_rollup", ("Private_Clean:", "Private_Dirty:"))
            for pid in pids
            for process in [psutil.Process(pid)]
            for each in (process, *process.children())
        )
        / KIB_A_MB
    )


def _kib(file: str, names: tuple[str, ...]) -> int:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:  # it has ended meanwhile
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))
