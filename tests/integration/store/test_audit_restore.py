"""A restored database goes on sealing: its transaction ids begin anew, its positions do not."""

import subprocess
from pathlib import Path

import pytest

from scripts.platform import embedded
from scripts.platform.embedded import postgres_program
from service.app import PREPARED
from service.store.database import Database
from tests.integration.store.conftest import StoreHarness
from tests.integration.store.test_audit_seals import faults, payment, seal

pytestmark = pytest.mark.as_owner

AHEAD = 500
"""Transactions by which the old server is ahead, beyond what a new one begins with."""


async def test_a_restored_trail_is_sealed_on(
    harness: StoreHarness, database_url: str, tmp_path: Path
) -> None:
    for _ in range(3):
        await payment(harness)
    before = await seal(harness.db)
    assert before
    await payment(harness)  # not sealed when the dump is made
    for _ in range(AHEAD):
        await harness.db.fetch("SELECT pg_current_xact_id()")
    dump = tmp_path / "dump.sql"
    run("pg_dump", "--no-owner", "--file", str(dump), database_url)
    with embedded.postgres(tmp_path / "new", durable=False, environ={}) as server:
        server.ensure_login(
            embedded.SERVICE_LOGIN, "x"
        )  # a dump names roles and does not make them
        run("psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dump), server.url())
        restored = await Database.open(server.url(), size=4, timeout_s=5.0, prepared=PREPARED)
        try:
            assert await transaction_id(restored) < await transaction_id(harness.db)
            await payment(StoreHarness(restored, games=100))
            row = await seal(restored)
            assert row
            assert (row.id, row.first_position, row.entries) == (2, before.last_position + 1, 2)
            assert await faults(restored) == []
        finally:
            await restored.close()


def run(program: str, *arguments: str) -> None:
    subprocess.run([postgres_program(program), *arguments], check=True, capture_output=True)


async def transaction_id(db: Database) -> int:
    [(known,)] = await db.fetch("SELECT pg_current_xact_id()::text")
    return int(known)
