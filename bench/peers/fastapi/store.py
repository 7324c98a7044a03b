"""The database: a statement a step (plain), or one function a transaction (tuned)."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from payments import Payment
from web import ProblemError

_NAME = re.compile(r"^-- name: (\w+) .*$", re.MULTILINE)


@dataclass
class Begun:
    """How a request began; the stored answer of a replay."""

    state: str
    status: int = 0
    body: str = ""


def read_statements(files: Path) -> dict[str, str]:
    _, *parts = _NAME.split((files / "statements.sql").read_text())
    texts = (text.strip().rstrip(";") for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))


class RefusedError(Exception):
    """The transaction is undone; the request is refused."""

    def __init__(self, begun: Begun) -> None:
        super().__init__(begun.state)
        self.begun = begun


class PlainStore:
    def __init__(self, pool: asyncpg.Pool, sql: dict[str, str]) -> None:
        self._pool = pool
        self._sql = sql

    async def begin(self, p: Payment) -> Begun:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._claim(connection, p)
                await self._insert(connection, p)
        except RefusedError as refused:
            return refused.begun
        except asyncpg.UniqueViolationError as error:
            raise ProblemError.of("owned") from error
        return Begun("created")

    async def _claim(self, connection: asyncpg.Connection, p: Payment) -> None:
        known = await connection.fetchrow(self._sql["find_key"], p.caller, p.key)
        if known is not None:
            raise RefusedError(_known(known, p))
        order = await connection.fetchrow(self._sql["lock_order"], p.order_id)
        if order is None or order["user_id"] != p.caller:
            raise RefusedError(Begun("not_found"))
        if await connection.fetchval(self._sql["has_live_payment"], p.order_id):
            raise RefusedError(Begun("live_payment"))
        if order["status"] != "pending" or order["expires_at"] <= p.at:
            raise RefusedError(Begun("order_not_payable"))
        if await connection.fetchval(self._sql["owns_game"], p.caller, p.order_id):
            raise RefusedError(Begun("owned"))
        p.currency, p.amount_minor = order["currency"], order["total_minor"]
        claimed = await connection.execute(
            self._sql["claim_key"], p.caller, p.key, p.fingerprint, p.id, p.at, p.locked_until
        )
        if claimed != "INSERT 0 1":
            raise RefusedError(Begun("in_flight"))

    async def _insert(self, connection: asyncpg.Connection, p: Payment) -> None:
        data = {
            "order_id": str(p.order_id),
            "provider": p.provider,
            "attempt_id": str(p.attempt_id),
            "amount_minor": p.amount_minor,
            "currency": p.currency,
            "capture": p.capture,
            "payment_method": p.payment_method,
        }
        method, money = (p.capture, p.payment_method), (p.currency, p.amount_minor)
        run, sql = connection.execute, self._sql
        await run(
            sql["insert_payment"], p.id, p.order_id, p.caller, p.provider, *method, *money, p.at
        )
        await run(sql["reserve_games"], p.id, p.caller, p.at, p.order_id)
        await run(sql["insert_attempt"], p.attempt_id, p.id, p.locked_until, p.at)
        await run(
            sql["insert_event"], p.id, p.at, "payment_created", json.dumps(data), p.correlation_id
        )

    async def record(self, p: Payment, provider_ref: str, body: str, at: datetime) -> None:
        data = {
            "attempt_id": str(p.attempt_id),
            "provider_ref": provider_ref,
            "captured_minor": p.amount_minor,
            "failure_code": None,
        }
        accounts = (f"provider:{p.provider}", "sales:games")
        async with self._pool.acquire() as connection, connection.transaction():
            run, sql = connection.execute, self._sql
            status = await connection.fetchval(sql["lock_attempt"], p.attempt_id)
            if status not in ("pending", "unknown"):
                raise ProblemError.of("in_flight")
            await run(sql["close_attempt"], p.attempt_id, at)
            await run(sql["close_payment"], p.id, p.amount_minor, provider_ref, at)
            await run(sql["close_order"], p.order_id, at)
            await run(sql["insert_ledger_transaction"], p.ledger_id, p.id, at)
            await run(
                sql["insert_ledger_entries"], p.ledger_id, *accounts, p.amount_minor, p.currency
            )
            await run(sql["insert_grant"], p.id, p.correlation_id, at)
            await run(
                sql["insert_event"],
                *(p.id, at, "payment_succeeded", json.dumps(data), p.correlation_id),
            )
            await run(sql["store_answer"], p.caller, p.key, 201, body)


class TunedStore:
    BEGIN = "SELECT * FROM peers.begin_payment($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    RECORD = (
        "SELECT peers.record_outcome($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    )

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, p: Payment) -> Begun:
        try:
            row = await self._pool.fetchrow(
                self.BEGIN,
                *(p.caller, p.key, p.fingerprint, p.id, p.attempt_id, p.order_id, p.provider),
                *(p.capture, p.payment_method, p.correlation_id, p.at, p.locked_until),
            )
        except asyncpg.UniqueViolationError as error:
            raise ProblemError.of("owned") from error
        if row["state"] == "created":
            p.amount_minor, p.currency = row["amount_minor"], row["currency"]
        return Begun(row["state"], row["answer_status"] or 0, row["answer_body"] or "")

    async def record(self, p: Payment, provider_ref: str, body: str, at: datetime) -> None:
        applied = await self._pool.fetchval(
            self.RECORD,
            *(p.caller, p.key, p.id, p.attempt_id, p.order_id, p.ledger_id, p.provider),
            *(provider_ref, p.amount_minor, p.currency, p.correlation_id, at, 201, body),
        )
        if not applied:
            raise ProblemError.of("in_flight")


def _known(row: Any, p: Payment) -> Begun:
    if row["fingerprint"] != p.fingerprint:
        return Begun("key_reused")
    if row["response_status"] is None:
        return Begun("in_flight")
    return Begun("replay", row["response_status"], row["response_body"])
