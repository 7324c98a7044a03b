"""Stripe's own mock server as a process; `tools/bootstrap stripe-mock` builds it."""

import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.processes import Child, spawn

PROGRAM: Final = Path(__file__).parents[2] / ".venv" / "bin" / "stripe-mock"
READY_S: Final = 20.0  # it reads an OpenAPI document of some megabytes
POLL_S: Final = 0.05


@contextmanager
def stripe_mock(
    folder: Path, *, port: int | None = None, intent: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """Run it in `folder` and give its URL.

    It keeps no state: every PaymentIntent looks like its fixture with the request's parameters put
    in. `intent` replaces the fixture's fields.
    """
    if not PROGRAM.exists():
        raise FileNotFoundError(f"{PROGRAM} is missing; run tools/bootstrap stripe-mock")
    port = port or free_port()
    options = ["-http-addr", f"{LOOPBACK}:{port}", "-https-addr", f"{LOOPBACK}:{free_port()}"]
    if intent is not None:
        options += ["-fixtures", str(_fixtures(folder, intent))]
    child = _started(folder, ["-strict-version-check", *options], port)
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        child.stop()


def _started(folder: Path, options: Sequence[str], port: int) -> Child:
    child = spawn("stripe-mock", [PROGRAM, *options], log=folder / "stripe-mock.log")
    deadline = time.monotonic() + READY_S
    while not _listens(port):
        if child.returncode is not None:
            raise child.died()
        if time.monotonic() > deadline:
            child.stop()
            raise TimeoutError(f"stripe-mock is not ready after {READY_S:g} s: {child.tail()}")
        time.sleep(POLL_S)
    return child


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _fixtures(folder: Path, intent: Mapping[str, Any]) -> Path:
    resources = {
        "payment_intent": {
            "id": "pi_1",
            "object": "payment_intent",
            "amount": 1999,
            "amount_received": 0,
            "currency": "eur",
            "created": 1_790_000_000,
            "latest_charge": "ch_1",
            "metadata": {},
            "status": "requires_payment_method",
            **intent,
        },
        "charge": {"id": "ch_1", "object": "charge", "amount": 1999, "amount_refunded": 500},
        "refund": {
            "id": "re_1",
            "object": "refund",
            "amount": 500,
            "currency": "eur",
            "created": 1_790_000_100,
            "payment_intent": "pi_1",
            "metadata": {},
            "status": "succeeded",
        },
        "dispute": {
            "id": "dp_1",
            "object": "dispute",
            "charge": "ch_1",
            "payment_intent": "pi_1",
            "amount": 1999,
            "currency": "eur",
            "created": 1_790_000_200,
            "reason": "fraudulent",
            "status": "needs_response",
            "balance_transactions": [{"id": "txn_1", "amount": -1999, "currency": "eur"}],
            "evidence_details": {"due_by": 1_790_600_000},
        },
        "radar.early_fraud_warning": {
            "id": "issfr_1",
            "object": "radar.early_fraud_warning",
            "charge": "ch_1",
            "payment_intent": "pi_1",
            "created": 1_790_000_000,
            "fraud_type": "misc",
            "actionable": True,
        },
    }
    path = folder / "fixtures.json"
    path.write_text(json.dumps({"resources": resources}))
    return path
