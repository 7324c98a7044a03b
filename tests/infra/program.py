"""Runs the Pulumi program's platform without an engine, and keeps what it registers."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pulumi
import yaml
from pulumi.runtime import mocks

import alerts
import dashboards
from infra.components.platform import Platform, PlatformArgs
from infra.config import load
from infra.sections import StackConfig

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "service" / "store" / "migrations"


@dataclass(frozen=True, slots=True)
class Registered:
    """One resource as the program asked for it; its URN holds the types of its parents."""

    urn: str
    inputs: Mapping[str, Any]
    deleted_first: bool
    """Whether a replacement deletes the old object before it makes the new one."""
    ignored: Sequence[str]
    """Paths of inputs whose changes are ignored once the object is there."""

    @property
    def name(self) -> str:
        return self.urn.split("::")[3]

    @property
    def type(self) -> str:
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def parents(self) -> list[str]:
        return self.urn.split("::")[2].split("$")[:-1]


def one(resources: Sequence[Registered], kind: str, name: str) -> Registered:
    (found,) = [r for r in resources if r.type.endswith(f":{kind}") and r.name == name]
    return found


def container_of(owner: Registered) -> Any:
    """Return the one container of an object's pods."""
    (container,) = owner.inputs["spec"]["template"]["spec"]["containers"]
    return container


class Monitor(mocks.MockMonitor):
    """Keeps the request for each resource, which has its options, beside the resource."""

    def __init__(self) -> None:
        super().__init__(Echo())
        self.requests: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  named by the protocol
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        self.requests[answer.urn] = request
        return answer


class Echo(mocks.Mocks):
    """Answers the SDK in place of an engine: what is asked for is what is there."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> NoReturn:
        raise AssertionError(f"the program calls {args.token}; it should only declare")


def raw_config(stack: str) -> dict[str, str]:
    """Return the stack's committed settings as the engine hands them over."""
    settings = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {
        key.removeprefix("coinslot:"): value if isinstance(value, str) else _json(value)
        for key, value in settings.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value)


def config(stack: str, **changes: Any) -> StackConfig:
    """Return the stack's committed settings with some of them changed, by their YAML keys."""
    raw = raw_config(stack) | {
        key: value if isinstance(value, str) else _json(value) for key, value in changes.items()
    }
    return load(stack, raw, secret_keys=("secretValues",))


def run(
    settings: StackConfig, migrations: Path = MIGRATIONS
) -> tuple[list[Registered], dict[str, Any]]:
    """Return what the platform registers for these settings, and its outputs."""
    with _event_loop():
        return _run(settings, migrations)


@contextmanager
def _event_loop() -> Iterator[None]:
    # The SDK takes the thread's loop, and an asynchronous test before this one leaves none.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _run(settings: StackConfig, migrations: Path) -> tuple[list[Registered], dict[str, Any]]:
    monitor = Monitor()
    mocks.set_mocks(
        monitor.mocks, project="coinslot", stack=settings.stack, preview=False, monitor=monitor
    )
    outputs: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        platform = Platform(
            PlatformArgs(
                config=settings,
                groups=alerts.groups(),
                dashboards=dashboards.documents(),
                migrations=migrations,
            )
        )
        outputs.update(platform.outputs)

    program()
    return [_registered(monitor, urn) for urn in monitor.resources], outputs


def _registered(monitor: Monitor, urn: str) -> Registered:
    options = monitor.requests[urn]
    return Registered(
        urn,
        monitor.resources[urn].state,
        deleted_first=options.deleteBeforeReplace,
        ignored=tuple(options.ignoreChanges),
    )
