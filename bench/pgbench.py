"""pgbench pays: PostgreSQL's own client in C, with the service's connection settings.

`ONE_BY_ONE` runs the service's own two statements, prepared, a payment at a time, and `BATCHED`
runs them with 32 payments in each: the limit of what the database does with them. `PLAIN` runs the
ordinary statements of bench/peers/statements.sql in two transactions. None of them calls a
provider, checks a token or sends an answer: every inequality favors pgbench.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from bench import orders, peers
from bench.ground import connection_options
from scripts.platform.embedded import postgres_program
from service.domain.ledger import capture
from service.domain.money import Money
from service.store import begin_payments, record_outcomes

SPACE: Final = 1_000_000
"""Orders of one client that have numbers of their own in a series."""
BATCH: Final = 32
"""As many as the service puts into a statement at most."""
RUN_MARGIN_S: Final = 60

_PARAMETER: Final = "$1"
_NUMBER: Final = "f" * 12
_OWNER: Final = "@"
"""What stands in an item's template for the order's number and for its owner's."""
LOCKED_FOR: Final = timedelta(minutes=5)

_TPS: Final = re.compile(r"tps = ([\d.]+)")
_DONE: Final = re.compile(r"transactions actually processed: (\d+)")
_STATEMENT: Final = re.compile(r"^-- name: (\w+) \(([^)]*)\)\n(.*?;)$", re.DOTALL | re.MULTILINE)


class Script(StrEnum):
    """What pgbench runs."""

    ONE_BY_ONE = "one_by_one"
    BATCHED = "batched"
    PLAIN = "plain"

    @property
    def payments(self) -> int:
        """Return the payments of an execution."""
        return BATCH if self is Script.BATCHED else 1


@dataclass(frozen=True)
class Result:
    """Payments a second, and how many there were."""

    rate: float
    payments: int


def _values(number: str) -> dict[str, str]:
    """Return SQL for what the service would send for the order of this number."""
    order = orders.ID.format(round=":round", n=number)

    def part(kind: str) -> str:
        return f"('{kind}' || substr({order}, 3))"

    return {
        "payment_id": part("02"),
        "attempt_id": part("03"),
        "ledger_id": part("04"),
        "order_id": order,
        "caller": f"'bench-' || (({number}) % {orders.USERS})",
        "key": order,
        "fingerprint": "'00'",
        "provider": "'simulator'",
        "capture_method": "'automatic'",
        "payment_method": "'pm_ok'",
        "correlation_id": "'0123456789abcdef0123456789abcdef'",
        "at": "now()",
        "locked_until": "now() + interval '30 s'",
        "captured_minor": "1999",
        "provider_ref": f"'ch_' || {order}",
        "event": "'payment_succeeded'",
        "data": f"jsonb_build_object('attempt_id', {part('03')}, 'captured_minor', 1999)",
        "response_status": "201",
        "response_body": f"'{'x' * 480}'",  # as long as the service's answer
    }


_PLAIN_KINDS: Final = {
    "payment_id": "uuid", "attempt_id": "uuid", "ledger_id": "uuid", "order_id": "uuid",
    "fingerprint": "bytea", "amount_minor": "bigint", "captured_minor": "bigint",
    "response_status": "smallint", "data": "jsonb", "at": "timestamptz",
    "locked_until": "timestamptz",
}  # fmt: skip
"""Types of the plain statements' parameters; all others are text."""


def script(kind: Script) -> str:
    """Return pgbench's script of one execution."""
    head = "\\set n :n + 1\n"
    if kind is Script.PLAIN:
        return head + _plain()
    both = ((begin_payments.NAME, begin_payments.SQL), (record_outcomes.NAME, record_outcomes.SQL))
    return head + "".join(f"{_with_items(sql, name, kind.payments)};\n" for name, sql in both)


def _with_items(sql: str, name: str, batch: int) -> str:
    """Put a list of items in place of the statement's parameter, as the service sends one.

    They are made of the variable `name`, the JSON of one item, within the statement: it is no
    round trip more, and hardly any work.
    """
    sql = re.sub(r"--.*", "", sql).strip()
    if re.findall(r"\$\d+", sql) != [_PARAMETER]:
        raise ValueError(f"{name} has not one parameter, a list of items: adapt bench/pgbench.py")
    number = "lpad(to_hex(n), 12, '0')"
    item = (
        f"replace(replace(:{name}, '{_NUMBER}', {number}), '{_OWNER}', (n % {orders.USERS})::text)"
    )
    first = f":client_id * {SPACE} + (:n - 1) * {batch}"
    numbers = f"generate_series({first} + 1, {first} + {batch}) AS n"
    items = f"SELECT '[' || string_agg({item}, ',') || ']' FROM {numbers}"  # noqa: S608  ours
    return sql.replace(_PARAMETER, f"({items})")


def _items(series: int) -> dict[str, str]:
    """Return, by the statement's name, what the service would send for an order, as JSON."""
    order, payment, attempt, ledger = (
        UUID(f"{part}{series:06x}-0000-7000-8000-{_NUMBER}") for part in ("01", "02", "03", "04")
    )
    at, correlation_id = datetime.now(UTC), "0123456789abcdef0123456789abcdef"
    begin = begin_payments.BeginPayment(
        caller=f"bench-{_OWNER}",
        key=str(order),
        fingerprint="00" * 32,
        correlation_id=correlation_id,
        at=at,
        locked_until=at + LOCKED_FOR,
        payment_id=payment,
        attempt_id=attempt,
        order_id=order,
        provider="simulator",
        capture_method="automatic",
        payment_method="pm_ok",
    )
    outcome = record_outcomes.RecordOutcome(
        payment_id=payment,
        attempt_id=attempt,
        resource_id=payment,
        status="succeeded",
        attempt_status="succeeded",
        captured_minor=1999,
        provider_ref=f"ch_{payment}",
        failure_code=None,
        next_check_at=None,
        entries=record_outcomes.EntryRow.of(capture("simulator", Money(1999, "EUR"))),
        ledger_id=ledger,
        event="payment_succeeded",
        data={
            "attempt_id": str(attempt),
            "provider_ref": f"ch_{payment}",
            "captured_minor": 1999,
            "failure_code": None,
        },
        correlation_id=correlation_id,
        at=at,
        response_status=201,
        response_body="x" * 480,  # as long as the service's answer
    )
    made = {begin_payments.NAME: begin, record_outcomes.NAME: outcome}
    return {name: msgspec.json.encode(item).decode() for name, item in made.items()}


def _plain() -> str:
    """Return a payment as two transactions of ordinary statements."""
    statements = {
        name: (parameters.split(", "), sql)
        for name, parameters, sql in _STATEMENT.findall(
            (peers.FILES / "statements.sql").read_text()
        )
    }
    names = list(statements)
    event = names.index("insert_event")
    begin, record = names[: event + 1], names[event + 1 :]
    record.insert(record.index("store_answer"), "insert_event")
    values = _values(f":client_id * {SPACE} + :n") | {
        "amount_minor": "1999",
        "currency": "'EUR'",
        "debit_account": "'provider' || chr(58) || 'simulator'",
        "credit_account": "'sales' || chr(58) || 'games'",
    }
    created = {"event": "'payment_created'"}
    return "".join(
        (
            "BEGIN;\n",
            *(_filled(*statements[name], values | created) for name in begin),
            "COMMIT;\nBEGIN;\n",
            *(_filled(*statements[name], values) for name in record),
            "COMMIT;\n",
        )
    )


def _filled(parameters: list[str], sql: str, values: dict[str, str]) -> str:
    for number, name in reversed(list(enumerate(parameters, start=1))):
        value = f"({values[name]})::{_PLAIN_KINDS.get(name, 'text')}"
        sql = sql.replace(f"${number}", value)
    return sql + "\n"


def make_orders(database_url: str, kind: Script, clients: int, *, series: int, count: int) -> int:
    """Make at least `count` orders, as many for each client; return how many those are."""
    each = min(SPACE - 1, -(-count // (clients * kind.payments)) * kind.payments)
    for client in range(clients):
        start = client * SPACE + 1
        orders.make(database_url, round_=series, start=start, stop=start + each - 1)
    return each * clients


def run(
    database_url: str, kind: Script, clients: int, *, series: int, seconds: int, folder: Path
) -> Result:
    """Run pgbench; raise RuntimeError if it fails."""
    path = folder / f"{kind}.pgbench"
    path.write_text(script(kind))
    command: list[str | Path] = [
        postgres_program("pgbench"),
        *("-n", "-M", "prepared", "-c", str(clients), "-j", str(min(2, clients))),
        *("-T", str(seconds), "-D", "n=0", "-D", f"round={series}"),
        *(f"-D{name}={item}" for name, item in _items(series).items()),
        *("-f", path, database_url),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "PGOPTIONS": connection_options()},
        capture_output=True,
        text=True,
        timeout=seconds + RUN_MARGIN_S,
        check=False,
    )
    rate, count = _TPS.search(done.stdout), _DONE.search(done.stdout)
    if done.returncode or rate is None or count is None:
        raise RuntimeError(f"pgbench failed:\n{done.stdout}\n{done.stderr}")
    return Result(float(rate[1]) * kind.payments, int(count[1]) * kind.payments)
