"""`admin reconcile`: a run that is asked for, made in this process and waited for."""

import argparse
import asyncio
import time
from typing import Final
from uuid import UUID

import msgspec

from service.admin.commands import FAILED, FOUND, OK
from service.admin.output import Output
from service.admin_views import run_view
from service.api.common import Reason
from service.store.reconciliation_runs import RunRow
from service.usecases import reconcile
from service.usecases.audit import By
from service.usecases.context import Context

DEFAULT_WAIT_S: Final = 3_600.0
"""The longest that a reconciliation run takes."""

ENDED: Final = frozenset({"succeeded", "failed"})
POLL_S: Final = 0.5


async def run_reconciliation(ctx: Context, arguments: argparse.Namespace, out: Output) -> int:
    """Run a reconciliation in this process; FOUND if there are open differences afterwards."""
    reason = msgspec.convert({"note": arguments.note}, Reason).note
    asked = await reconcile.request_run(ctx, By(f"cli:{arguments.actor}", reason))
    run = await _until_ended(ctx, asked.id, arguments.wait)
    out.show(f"Run {run.id}", msgspec.to_builtins(run_view(run)))
    if run.status not in ENDED:
        out.text(f"run {run.id} is {run.status} after {arguments.wait:g} s; it goes on")
    if run.status != "succeeded":
        return FAILED
    return FOUND if run.differences else OK


async def _until_ended(ctx: Context, run_id: UUID, wait_s: float) -> RunRow:
    """Run here, unless another process is at it: then wait for that."""
    deadline = time.monotonic() + wait_s
    while True:
        await reconcile.run_due(ctx)
        run = await reconcile.get_run(ctx, run_id)
        if run.status in ENDED or time.monotonic() > deadline:
            return run
        await asyncio.sleep(POLL_S)
