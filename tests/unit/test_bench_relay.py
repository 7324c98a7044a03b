"""The benchmark's relay reads PostgreSQL's messages in whatever pieces they come."""

import pytest

from bench.relay import Counts, Reader


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


# A transaction of a batch, one that stays open, and a statement of which only one row is wanted.
ANSWERS = (
    message(b"C", b"BEGIN\0")
    + message(b"C", b"INSERT 0 1\0")
    + message(b"C", b"COMMIT\0")
    + message(b"Z", b"I")
    + message(b"D", b"ZC" * 20)
    + message(b"s", b"")
    + message(b"Z", b"T")
)


@pytest.mark.parametrize("piece", [1, 3, 7, 1_000])
def test_statements_round_trips_and_transactions_are_counted(piece: int) -> None:
    counts = Counts()
    reader = Reader(counts)
    for at in range(0, len(ANSWERS), piece):
        reader.feed(ANSWERS[at : at + piece])
    assert counts == Counts(statements=4, round_trips=2, transactions=1)
