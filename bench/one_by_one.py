"""Side A: pgbench runs the service's own two statements, one payment at a time.

It is PostgreSQL's own client in C, with prepared statements and the service's connection settings.
Its input is columns instead of JSON; it calls no provider, checks no token and sends no answer:
every inequality favors it.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from bench import orders
from scripts.platform.embedded import postgres_program
from service.store import begin_payments, record_outcomes
from service.store.database import CONNECTION_SETTINGS

CLIENTS: Final = 16
SPACE: Final = 1_000_000
"""Orders of one client that have numbers of their own in a round."""

_RECORDSET: Final = re.compile(
    r"SELECT \* FROM json_to_recordset\(\$1::json\) AS i\((.*?)\)\n\)", re.DOTALL
)
_TPS: Final = re.compile(r"tps = ([\d.]+)")
_DONE: Final = re.compile(r"transactions actually processed: (\d+)")

_N: Final = f":client_id * {SPACE} + :n"


def _id(kind: str) -> str:
    """Return SQL for the id that a payment's part has in this round."""
    return f"('{kind}' || substr({orders.ID.format(round=':round', n=_N)}, 3))"


_ORDER: Final = orders.ID.format(round=":round", n=_N)
_VALUES: Final = {
    "payment_id": _id("02"),
    "attempt_id": _id("03"),
    "resource_id": _id("02"),
    "ledger_id": _id("04"),
    "order_id": _ORDER,
    "caller": f"'bench-' || (({_N}) % {orders.USERS})",
    "key": _ORDER,
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
    "provider_ref": f"'ch_' || {_ORDER}",
    "failure_code": "NULL",
    "next_check_at": "NULL",
    # pgbench would take a colon with a word after it for a variable of its own
    "entries": r"""'[{"account": "provider\u003asimulator", "minor": 1999, "currency": "EUR"},"""
    r"""{"account": "sales\u003agames", "minor": -1999, "currency": "EUR"}]'""",
    "event": "'payment_succeeded'",
    "data": f"jsonb_build_object('attempt_id', {_id('03')}, 'captured_minor', 1999)",
    "response_status": "201",
    "response_body": f"'{'x' * 480}'",  # as long as the service's answer
}


def script() -> str:
    """Return pgbench's script of one payment."""
    statements = (_with_columns(sql) for sql in (begin_payments.SQL, record_outcomes.SQL))
    return "\\set n :n + 1\n" + "".join(f"{sql.strip()};\n" for sql in statements)


def _with_columns(sql: str) -> str:
    """Replace the JSON parameter by columns; fail if the statement no longer looks like that."""
    sql = re.sub(r"--.*", "", sql)
    match = _RECORDSET.search(sql)
    if match is None:
        raise ValueError(
            "a payment's statement takes its input in another way; adapt the benchmark"
        )
    columns = [column.split() for column in match[1].split(",")]
    values = ",\n".join(f"({_VALUES[name]})::{kind} AS {name}" for name, kind in columns)
    return sql[: match.start()] + f"SELECT {values}\n)" + sql[match.end() :]


def run(database_url: str, *, round_: int, seconds: int, folder: Path) -> tuple[float, int]:
    """Run a round; return payments a second and the number of payments."""
    path = folder / "payment.pgbench"
    path.write_text(script())
    options = " ".join(f"-c {_option(setting)}" for setting in CONNECTION_SETTINGS)
    command: list[str | Path] = [
        postgres_program("pgbench"),
        *("-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds)),
        *("-D", "n=0", "-D", f"round={round_}", "-f", path, database_url),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "PGOPTIONS": options},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    rate, count = _TPS.search(done.stdout), _DONE.search(done.stdout)
    if done.returncode or rate is None or count is None:
        raise RuntimeError(f"pgbench failed:\n{done.stdout}\n{done.stderr}")
    return float(rate[1]), int(count[1])


def _option(setting: str) -> str:
    name, _, value = setting.removeprefix("SET ").partition(" = ")
    return "timezone=UTC" if name.startswith("TIME ZONE") else f"{name}={value}"
