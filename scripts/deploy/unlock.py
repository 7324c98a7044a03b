"""Free a stack that an engine has left behind: killed, or cut off from its state.

Such an engine leaves a lock, operations that are pending for ever, and deletions that are still to
come. One of those may name an object that lives again, and the next update would remove it.
"""

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psutil

from scripts.deploy.engine import Engine, EngineFailedError

LOCK: Final = re.compile(
    r"created by (?P<who>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<when>\S+)"
)
"""A lock as the engine's message names it."""
PROGRAM: Final = "pulumi"

Resource = Mapping[str, Any]


class UnlockError(Exception):
    """The stack is in use, or may be; the message says by whom and what to do."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Whose engine holds a stack, and since when."""

    who: str
    host: str
    pid: int
    when: str

    def __str__(self) -> str:
        return f"{self.who}'s engine of {self.when} (pid {self.pid} on {self.host})"


def free(engine: Engine, stack: str) -> list[str]:
    """Return what was done, a line each; raise UnlockError if somebody works on the stack.

    Nor may somebody have worked on it meanwhile: what is put back is what was read.
    """
    done: list[str] = []
    try:
        # Also when there is nothing to change: of all that takes the lock, this does the least.
        return [*done, *_clean(engine, stack)]
    except EngineFailedError as error:
        locks = [_lock(found) for found in LOCK.finditer(str(error))]
        if not locks:
            raise
    for lock in locks:
        _refuse_if_in_use(lock, stack)
    engine.cancel(stack)
    done += [f"removed the lock of {lock}, which is gone" for lock in locks]
    return [*done, *_clean(engine, stack)]


def _clean(engine: Engine, stack: str) -> list[str]:
    before = engine.export(stack)  # which takes no lock
    engine.look_for_lock(stack)
    document = engine.export(stack)
    if document != before:
        raise UnlockError(
            f"somebody has just worked on the stack, so nothing was done: make unlock STACK={stack}"
        )
    deployment = document["deployment"]
    resources = deployment.get("resources") or []
    dropped = list(_misdirected(resources))
    deployment["resources"] = [each for each in resources if each not in dropped]
    engine.take(stack, document)  # which drops every pending operation
    return [
        *(
            f"forgot that {_name(each['resource'])} was {each['type']} when the engine ended: "
            "`make refresh` and `make up` take it up as it is, or `kubectl delete` removes it"
            for each in deployment.get("pending_operations") or []
        ),
        *(
            f"forgot the deletion of a former {_name(each)}: it would remove the present one"
            for each in dropped
        ),
    ]


def _misdirected(resources: list[Resource]) -> Iterator[Resource]:
    """Yield the deletions still to come that would hit an object which is in use again."""
    living = {(each["type"], each.get("id")) for each in resources if not each.get("delete")}
    for each in resources:
        if each.get("delete") and (each["type"], each.get("id")) in living:
            yield each


def _refuse_if_in_use(lock: Lock, stack: str) -> None:
    cancel = f".venv/bin/pulumi cancel --yes --stack {stack}"
    if lock.host != socket.gethostname():
        raise UnlockError(
            f"{lock} holds the stack, and only {lock.host} knows whether it still runs: run this "
            f"there, or, if that machine is gone: {cancel}"
        )
    if _runs(lock.pid):
        raise UnlockError(f"{lock} is at work; wait for it, or end it well: kill -INT {lock.pid}")


def _runs(pid: int) -> bool:
    """Return whether the process is there and is an engine: numbers are given out again."""
    try:
        process = psutil.Process(pid)
        return PROGRAM in process.name() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _lock(found: "re.Match[str]") -> Lock:
    return Lock(found["who"], found["host"], int(found["pid"]), found["when"])


def _name(resource: Resource) -> str:
    kind = str(resource["type"]).rpartition(":")[2]
    metadata = (resource.get("inputs") or {}).get("metadata") or {}
    return f"{kind} {metadata.get('name') or str(resource['urn']).rpartition('::')[2]}"
