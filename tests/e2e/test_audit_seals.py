"""The worker's seals, its log as their anchor outside the database, and the operators' check."""

import asyncio
import json
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.support.services import ADMIN, Service, Services
from tests.support.waiting import eventually

pytestmark = pytest.mark.as_owner

OFTEN = {"AUDIT_SEAL_INTERVAL_S": "0.2"}
VICTIM = "(SELECT payment_id FROM payment_events ORDER BY position LIMIT 1)"
HIDE_A_PAYMENT = f"""
    ALTER TABLE payment_events DISABLE TRIGGER USER;
    ALTER TABLE audit_seals DISABLE TRIGGER audit_seals_append_only;
    DELETE FROM payment_events WHERE payment_id = {VICTIM};
    CREATE TABLE old_seals AS SELECT last_position, sealed_at FROM audit_seals;
    DELETE FROM audit_seals;
    INSERT INTO audit_seals (last_position, sealed_at) SELECT * FROM old_seals ORDER BY 1;
"""

UNSEALED = """
    SELECT count(*) FROM audit_entries
    WHERE position > (SELECT coalesce(max(last_position), 0) FROM audit_seals)
"""


def execute(url: str, script: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(script)


async def admin(service: Service, *arguments: str) -> tuple[int, str, str]:
    """Run a command of the operators; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "admin", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=service.environ,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def verified(service: Service, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = await admin(service, "verify-audit", "--json", *arguments)
    return code, json.loads(out)


async def test_seals_are_made_told_and_checked(start_service: Services) -> None:
    api, worker = await start_service("api"), await start_service("worker", **OFTEN)
    url = api.environ["DATABASE_URL"]
    async with api.client("ada") as ada, api.client("olga", ADMIN) as olga:
        for game in ("game-1", "game-2"):
            order = await ada.order([game])
            (await ada.pay(order["id"])).expect(201)
            await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
            await eventually(partial(unsealed, url), lambda left: left == 0)
        assert (await ada.call("GET", "/v1/admin/audit/seals")).status == 403
        page = await olga.read("/v1/admin/audit/seals?limit=1")
        assert page["next_cursor"] == page["items"][0]["id"]
        older = await olga.read(f"/v1/admin/audit/seals?cursor={page['next_cursor']}")
    assert older["next_cursor"] is None
    worker.stop()
    logged = {r["seal"]: (r["root"], r["hash"]) for r in worker.records("audit_sealed")}
    listed = {s["id"]: (s["root"], s["hash"]) for s in page["items"] + older["items"]}
    assert logged.items() >= listed.items()
    anchors = ("--anchors", str(worker.child.log))

    code, good = await verified(worker, *anchors)
    assert (code, good["faults"], good["anchors"]) == (0, [], len(logged))
    assert good["entries"] + good["unsealed_entries"] == 6

    execute(url, HIDE_A_PAYMENT)
    assert (await verified(worker))[0] == 0
    code, bad = await verified(worker, *anchors)
    assert code == 3
    assert {fault["fault"] for fault in bad["faults"]} == {"anchored_seal_differs"}
    code, out, _ = await admin(worker, "verify-audit", *anchors)
    assert (code, "anchored_seal_differs\t1\t-\t-" in out) == (3, True)


async def unsealed(url: str) -> int:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(UNSEALED)
        return int(cursor.fetchone()[0])  # type: ignore[index]


async def test_a_sealer_that_is_killed_leaves_no_half_seal(start_service: Services) -> None:
    api = await start_service("api")
    url = api.environ["DATABASE_URL"]
    async with api.client("ada") as ada:
        order = await ada.order(["game-1"])
        (await ada.pay(order["id"])).expect(201)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        # The seal is computed, and can't be written: there the sealer dies.
        cursor.execute("LOCK TABLE audit_seals IN SHARE MODE")
        worker = start_service.launch("worker", **OFTEN)
        await eventually(lambda: _waits(url), timeout_s=60)
        worker.child.kill()
        connection.rollback()
        await eventually(lambda: _waits(url), lambda waits: not waits)
        cursor.execute("SELECT count(*) FROM audit_seals")
        assert cursor.fetchone() == (0,)
    worker = await start_service("worker", **OFTEN)
    await eventually(partial(unsealed, worker.environ["DATABASE_URL"]), lambda left: left == 0)
    code, verdict = await verified(worker)
    assert (code, verdict["seals"] > 0, verdict["faults"]) == (0, True, [])


async def _waits(url: str) -> bool:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO audit_seals%'"
        )
        (count,) = cursor.fetchone() or (0,)
        return bool(count)


async def test_a_file_without_anchors_is_not_taken_for_proof(
    start_service: Services, tmp_path: Path
) -> None:
    api = await start_service("api")
    log = tmp_path / "other.log"
    log.write_text('not JSON, audit_sealed\n{"event": "audit_sealed", "seal": "x"}\n[1]\n')
    code, out, err = await admin(api, "verify-audit", "--anchors", str(log))
    assert (code, out) == (1, "")
    assert err == (
        f"service admin: {log} has no line of the event audit_sealed; give a worker's log\n"
    )
    code, _, err = await admin(api, "verify-audit", "--anchors", str(tmp_path / "none"))
    assert (code, "can't be read: No such file or directory" in err) == (1, True)


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01"])
async def test_a_wrong_time_is_named(start_service: Services, time: str) -> None:
    api = start_service.launch("api")  # only for its settings
    code, _, err = await admin(api, "verify-audit", "--since", time)
    assert (code, f"'{time}' is no time" in err) == (2, True)
