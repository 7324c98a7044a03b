"""Show the main job from end to end, on embedded defaults: `make demo`.

An order, its payment, the grant of the games, refunds, a lost answer, the money invariants; then
`pulumi up` of the stack `local` in render mode. It has its own ports and data and ends by itself.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from infra.policy.objects import load
from scripts import ROOT, console
from scripts.platform.demo_scenario import ExpectationError, Record, Scenario, expect, money
from scripts.platform.embedded import EmbeddedError
from scripts.platform.launcher import Platform, PlatformError, platform
from scripts.platform.processes import ProcessDiedError, spawn
from service.settings import Settings, env_name

BUILD: Final = ROOT / "build" / "demo"
STACK: Final = "local"
RENDERED: Final = BUILD / "rendered" / STACK
PULUMI_TIMEOUT_S: Final = 300.0  # about six seconds on a quiet machine
INTERRUPTED: Final = 130
ADMIN: Final = "payments:read payments:write payments:admin"
QUICK: Final = {"UNKNOWN_RETRY_S": "0.5", "WORKER_POLL_S": "0.1"}  # a demo waits for no back-off


def main(argv: list[str] | None = None) -> int:
    parser = console.parser("scripts.platform.demo", __doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    options = parser.parse_args(argv)
    screen = console.make(quiet=options.json)
    scenario = Scenario(partial(console.done, screen))
    try:
        asyncio.run(_until_terminated(_run(screen, scenario)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.error("demo", "interrupted; everything is stopped")
        return INTERRUPTED
    except (ExpectationError, PlatformError, EmbeddedError, ProcessDiedError) as error:
        return _end(options.json, scenario.record, str(error))
    return _end(options.json, scenario.record, None)


def _end(as_json: bool, record: Record, error: str | None) -> int:  # noqa: FBT001  an option
    if as_json:
        print(json.dumps({"ok": error is None, "error": error, **asdict(record)}, indent=2))
    elif error is not None:
        console.error("demo", error)
    return 0 if error is None else 1


async def _until_terminated(running: Any) -> None:
    task = asyncio.ensure_future(running)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


async def _run(screen: Console, scenario: Scenario) -> None:
    started = time.monotonic()
    screen.print("coinslot: a game is paid, granted and refunded; then its cluster is rendered\n")
    with tempfile.TemporaryDirectory(prefix="coinslot-demo-") as folder:
        screen.print("The platform, on free ports with throw-away data")
        async with platform(
            Path(folder),
            durable=False,
            logs=BUILD / "logs",
            environ=_clean(os.environ),
            report=scenario.done,
        ) as running:
            await _sell(screen, scenario, running)
        screen.print()
        screen.print(*_tables(scenario.record), sep="\n")
        screen.print("\nThe cluster, as the Pulumi program makes it")
        await _render(scenario, Path(folder))
        screen.print()
        kinds = ((kind, ", ".join(n)) for kind, n in scenario.record.pulumi["objects"].items())
        screen.print(_table("What Kubernetes would get", ("kind", "names"), kinds))
    _next(screen, time.monotonic() - started)


async def _sell(screen: Console, scenario: Scenario, running: Platform) -> None:
    world = running.simulator()
    screen.print("\nA customer, over HTTP")
    async with running.client("ada") as ada:
        await scenario.a_game_is_sold_and_refunded(ada, world)
    screen.print("\nAnother customer, on a bad line")
    async with running.client("bob") as bob:
        await scenario.an_answer_is_lost(bob, world)
    async with running.client("operator", ADMIN) as operator:
        await scenario.the_money_is_counted(operator)


async def _render(scenario: Scenario, folder: Path) -> None:
    """Run `pulumi up` with a state of its own, so that it begins from nothing each time."""
    state, log = folder / "pulumi", BUILD / "pulumi.log"
    state.mkdir()
    log.unlink(missing_ok=True)
    shutil.rmtree(RENDERED, ignore_errors=True)
    environ = {
        **os.environ,
        "PULUMI_BACKEND_URL": state.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "development",
        "COINSLOT_RENDER_DIR": str(RENDERED.parent),
        "PULUMI_SKIP_CHECKPOINTS": "true",  # nobody goes on from a state that was cut off here
    }
    command = [sys.executable, "-m", "scripts.deploy.stack", "up", STACK, "--json"]
    async with scenario.step("pulumi up") as details:
        child = spawn("pulumi up", command, env=environ, log=log, stop_signal=signal.SIGINT)
        try:
            async with asyncio.timeout(PULUMI_TIMEOUT_S):
                code = await child.exited()
        finally:
            child.stop()
        if code != 0:
            raise child.died()
        summary = json.loads(child.tail(1))
        scenario.record.pulumi = {**summary, "objects": _objects()}
        made = summary["changes"].get("create", 0)
        expect(made > 0, f"objects to be created, not {summary['changes']}")
        details.append(f"stack {STACK}, render mode: {made} resources created")


def _objects() -> dict[str, list[str]]:
    objects: dict[str, list[str]] = {}
    for manifest in load(RENDERED).objects:
        objects.setdefault(manifest["kind"], []).append(manifest["metadata"]["name"])
    return objects


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without service settings: the demo is the same for everybody."""
    settings = {env_name(field.name) for field in msgspec.structs.fields(Settings)}
    return {name: value for name, value in environ.items() if name not in settings} | QUICK


def _tables(record: Record) -> Iterator[Table]:
    heads = ("time (UTC)", "event", "amount", "")
    currency = record.payment["currency"]
    events = (_event(event, currency) for event in record.timeline)
    yield _table("What happened to the payment", heads, events)
    heads = ("movement", "account", "debit", "credit")
    yield _table("Its ledger, double-entry", heads, map(_entry, record.ledger))
    counts = ((name.replace("_", " "), str(n)) for name, n in record.invariants.items())
    yield _table("Money invariants", ("must never hold", "rows"), counts)


def _event(event: Mapping[str, Any], currency: str) -> tuple[str, ...]:
    data = event["data"]
    amounts = [money(v, currency) for k, v in data.items() if k.endswith("_minor")]
    words = (data.get(key) or "" for key in ("payment_method", "provider_ref"))
    at = event["at"][11:23]  # 2026-01-31T[12:34:56.789]Z
    name = event["event"].replace("_", " ")
    return at, name, (amounts or [""])[0], " ".join(filter(None, words))


def _entry(entry: Mapping[str, Any]) -> tuple[str, ...]:
    amount = money(abs(entry["amount"]), entry["currency"])
    return entry["kind"], entry["account"], *((amount, "") if entry["amount"] > 0 else ("", amount))


def _table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for head in heads:
        figures = head in ("amount", "debit", "credit", "rows")
        table.add_column(head, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _next(screen: Console, seconds: float) -> None:
    files, logs = os.path.relpath(RENDERED), os.path.relpath(BUILD / "logs")
    screen.print(
        f"""
All as it must be, in {seconds:.1f} s. Where to look next
  {files}/   every object, rule and dashboard that Kubernetes would get
  {logs}/   the logs of the service
  make dev    the same platform in the foreground, for your own requests
  make preview STACK=staging    what the engine would do to a cluster
  docs/develop/architecture.md, service/api/routes.py    how it works""",
        markup=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
