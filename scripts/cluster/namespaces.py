"""Linux namespaces: starting a program as the first process of new ones, entering them, the end.

When the first process of a PID namespace ends, the kernel kills all others in it, and what the
namespaces held (mounts, links, addresses, rules) goes with the last of them.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from scripts import ROOT
from scripts.cluster.layout import Layout
from scripts.platform.processes import tail

TOOLS: Final = ("unshare", "nsenter", "mount", "ip", "sysctl", "hostname")
KINDS: Final = ("--mount", "--pid", "--uts", "--ipc")
NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET of sched.h
START_TIMEOUT_S: Final = 10.0
END_TIMEOUT_S: Final = 30.0  # a node's pods end in one; the kernel frees their memory first
TRY_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.05
CGROUPS: Final = Path("/sys/fs/cgroup")


class NamespaceError(Exception):
    """A part of the cluster can't be started, or has ended; the message says why."""


def obstacle() -> str:
    """Return why this machine can't run nodes in namespaces, in one line; empty if it can."""
    if sys.platform != "linux":
        return f"namespaces are Linux', and this is {sys.platform}"
    if os.geteuid() != 0:
        return "nodes in namespaces need root"
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        packages = "util-linux iproute2 procps hostname"
        return f"not on PATH: {', '.join(missing)} (Debian: apt install {packages})"
    try:
        _run("unshare", *KINDS, "--net", "--fork", "true")
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or error
        return f"this machine lets nobody make namespaces ({str(said).strip()})"
    return _cgroup_obstacle()


def _cgroup_obstacle() -> str:
    name = f"coinslot-try-{os.getpid()}"
    try:
        make_cgroup(name)
        for root in cgroup_roots():
            (root / name).rmdir()
    except OSError as error:
        return f"pods need cgroups, and here {error}"
    return "" if cgroup_roots() else f"pods need cgroups, and {CGROUPS} has none"


def start(layout: Layout, part: str, *arguments: str, network: bool) -> None:
    """Run scripts.cluster.<module> as the first process of new namespaces, detached from us."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    command = [
        *("unshare", *KINDS, *(["--net"] if network else [])),
        *("--fork", "--kill-child", "--mount-proc", "--propagation", "private"),
        *(sys.executable, "-m", *arguments),
    ]
    with log_of(layout, part).open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        first = _first_process(process, layout, part)
        born = psutil.Process(first).create_time()
        layout.record(part).write_text(json.dumps({"pid": first, "born": born}))
    except BaseException:
        process.kill()  # with its child: nobody else would find them
        process.wait(END_TIMEOUT_S)
        raise


def _first_process(process: "subprocess.Popen[bytes]", layout: Layout, part: str) -> int:
    """Return the process that `unshare` has forked, by its number on the machine."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            if numbers := children.read_text().split():
                return int(numbers[0])
        if process.poll() is not None:
            break
        time.sleep(POLL_S)
    raise NamespaceError(f"{part} did not start:\n{tail(log_of(layout, part))}")


def log_of(layout: Layout, part: str) -> Path:
    return layout.logs / f"{part}.log"


def running(layout: Layout, part: str) -> int | None:
    """Return the part's first process, or None if it has ended or was never started."""
    try:
        record = layout.read(part)
        process = psutil.Process(int(record["pid"]))
        alive = process.create_time() == record["born"]
        return process.pid if alive and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def check(layout: Layout, part: str) -> int:
    """Return the part's first process; raise NamespaceError with its last words."""
    if pid := running(layout, part):
        return pid
    raise NamespaceError(f"{part} has ended:\n{tail(log_of(layout, part))}")


def end(layout: Layout, part: str) -> None:
    """Kill the part with all that runs in it, and remove its cgroups."""
    if pid := running(layout, part):
        process = psutil.Process(pid)
        process.kill()
        with suppress(psutil.NoSuchProcess):
            process.wait(END_TIMEOUT_S)
    for path in cgroups_named(layout.cgroup(part)):
        _remove_cgroup(path)
    layout.record(part).unlink(missing_ok=True)


def enter(layout: Layout, part: str, *command: str, mounts: bool = False) -> list[str]:
    """Return the command that runs another one in a part's network, or in all of its namespaces."""
    kinds = ("--mount", "--pid", "--uts", "--ipc") if mounts else ()
    pid = str(check(layout, part))
    return ["nsenter", "--target", pid, "--net", *kinds, "--", *command]


def leave_network() -> None:
    """Put this process, and what it starts, into a new network; open sockets stay in the old."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "can't make a network of its own")


def cgroup_roots() -> list[Path]:
    """Return the roots of the cgroup hierarchies: one of version 2, or each controller's of 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted(path.parent for path in CGROUPS.glob("*/release_agent"))


def cgroups_named(pattern: str) -> list[Path]:
    """Return the cgroups right below any root: a runtime makes some in version 2's beside 1's."""
    return sorted([*CGROUPS.glob(pattern), *CGROUPS.glob(f"*/{pattern}")])


def make_cgroup(name: str) -> None:
    """Make a cgroup below each root; what runs in it may use all processors and memory nodes."""
    for root in cgroup_roots():
        (root / name).mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (root / setting).exists():
                (root / name / setting).write_text((root / setting).read_text())


def _remove_cgroup(path: Path) -> None:
    """Remove a cgroup and those below it; what ran in them may need a moment to be gone."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while path.exists():
        with suppress(OSError):
            for folder, _, _ in os.walk(path, topdown=False):
                Path(folder).rmdir()
        if time.monotonic() > deadline:
            raise NamespaceError(f"{path} can't be removed: something still runs in it")
        time.sleep(POLL_S)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=TRY_TIMEOUT_S)
