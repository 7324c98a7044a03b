"""The table of events: what customers saw, and whether the money was right. Markdown."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final, Self

from tests.cluster.load import RATE, Seen
from tests.cluster.money import Money

HEAD: Final = (
    *("event", "requests", "failures", "longest gap"),
    *("double charges", "unmatched charges", "ungranted payments"),
)
ABOUT: Final = f"""\
# What happened to payments while things went wrong

Made by `make cluster-test`: two real nodes, {RATE:g} purchases a second from a pod in the ingress's
namespace, each an order and a payment. A failure is a try that was not answered with success; the
customer repeats it under the same key. The longest gap is the time without any success. Charges are
compared with the provider's books, and grants with the Library's.

"""


@dataclass(frozen=True)
class Row:
    event: str
    requests: int
    failures: int
    gap: str
    double_charges: int
    unmatched_charges: int
    ungranted: int

    @classmethod
    def of(cls, event: str, seen: Seen, money: Money) -> Self:
        return cls(
            event,
            seen.requests,
            seen.failures,
            f"{seen.gap_s:.1f} s",
            len(money.double_charges),
            len(money.unmatched_charges),
            len(money.ungranted),
        )


rows: Final[list[Row]] = []
"""Of this run."""


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, ("---",) + ("---:",) * (len(HEAD) - 1), *(astuple(row) for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def write(path: Path, rows: Sequence[Row]) -> None:
    path.write_text(f"{ABOUT}{table(rows)}\n", encoding="utf-8")
