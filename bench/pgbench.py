"""pgbench pays: PostgreSQL's own client in C, with the service's connection settings.

`ONE_BY_ONE` runs the service's own two statements, prepared, a payment at a time, and `BATCHED`
runs them with 32 payments in each: the limit of what the database does with them. Their input is
rows instead of JSON. `PLAIN` runs the ordinary statements of bench/peers/statements.sql in two
transactions. None of them calls a provider, checks a token or sends an answer: every inequality
favors pgbench.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bench import orders, peers
from bench.ground import connection_options
from scripts.platform.embedded import postgres_program
from service.store import begin_payments, record_outcomes

SPACE: Final = 1_000_000
"""Orders of one client that have numbers of their own in a series."""
BATCH: Final = 32
"""As many as the service puts into a statement at most."""
RUN_MARGIN_S: Final = 60

_RECORDSET: Final = re.compile(
    r"SELECT \* FROM json_to_recordset\(\$1::json\) AS i\((.*?)\)\n\)", re.DOTALL
)
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
        "resource_id": part("02"),
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
        "limits": "NULL",
        "lease": "NULL",
        "status": "'succeeded'",
        "attempt_status": "'succeeded'",
        "captured_minor": "1999",
        "provider_ref": f"'ch_' || {order}",
        "failure_code": "NULL",
        "next_check_at": "NULL",
        # pgbench would take a colon with a word after it for a variable of its own
        "entries": r"""'[{"account": "provider\u003asimulator", "minor": 1999,"""
        r""" "currency": "EUR"}, {"account": "sales\u003agames", "minor": -1999,"""
        r""" "currency": "EUR"}]'""",
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
    both = (begin_payments.SQL, record_outcomes.SQL)
    return head + "".join(f"{_with_rows(sql, kind.payments).strip()};\n" for sql in both)


def _with_rows(sql: str, batch: int) -> str:
    """Replace the JSON parameter by rows; fail if the statement no longer looks like that."""
    sql = re.sub(r"--.*", "", sql)
    match = _RECORDSET.search(sql)
    if match is None:
        raise ValueError(
            "a payment's statement takes its input in another way: adapt bench/pgbench.py"
        )
    number, rows = f":client_id * {SPACE} + :n", ""
    if batch > 1:
        number = f":client_id * {SPACE} + (:n - 1) * {batch} + each.one"
        rows = f"FROM generate_series(1, {batch}) AS each(one)"
    values = _values(number)
    columns = [column.split() for column in match[1].split(",")]
    chosen = ",\n".join(f"({values[name]})::{kind} AS {name}" for name, kind in columns)
    return sql[: match.start()] + f"SELECT {chosen}\n{rows})" + sql[match.end() :]


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
        *("-T", str(seconds), "-D", "n=0", "-D", f"round={series}", "-f", path, database_url),
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
