"""Reconciliation over HTTP, for operators."""

from typing import Final

import msgspec

from service.admin_views import DifferenceView, ReconciliationRunView, difference_view, run_view
from service.api.common import ADMIN, CONTEXT, PageQuery, Reason, by
from service.domain.reconciliation import DifferenceKind
from service.store import reconciliation as store
from service.store import reconciliation_runs as runs
from service.store.reconciliation import Shown
from service.store.rows import Page
from service.usecases import reconcile
from service.web.endpoint import Call, Endpoint, Nothing, Reply


class DifferenceQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which differences."""

    state: Shown = "open"
    kind: DifferenceKind | None = None


async def request_reconciliation(call: Call[Reason, Nothing]) -> Reply:
    """Request a reconciliation run."""
    return Reply(202, run_view(await reconcile.request_run(call.app(CONTEXT), by(call))))


async def list_reconciliation_runs(call: Call[Nothing, PageQuery]) -> Reply:
    """List reconciliation runs, newest first."""
    found = await runs.list_runs(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(run_view))


async def get_reconciliation_run(call: Call[Nothing, Nothing]) -> Reply:
    """Read a reconciliation run."""
    return Reply(200, run_view(await reconcile.get_run(call.app(CONTEXT), call.ids["run_id"])))


async def list_differences(call: Call[Nothing, DifferenceQuery]) -> Reply:
    """List reconciliation differences, oldest first."""
    found = await store.list_differences(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(difference_view))


_RUNS: Final = "/v1/admin/reconciliation/runs"
ROUTES: Final = (
    Endpoint(
        "POST", _RUNS, request_reconciliation, ADMIN, {202: ReconciliationRunView}, tag="admin",
    ),
    Endpoint(
        "GET", _RUNS, list_reconciliation_runs, ADMIN, {200: Page[ReconciliationRunView]},
        tag="admin",
    ),
    Endpoint(
        "GET", f"{_RUNS}/{{run_id}}", get_reconciliation_run, ADMIN, {200: ReconciliationRunView},
        tag="admin",
    ),
    Endpoint(
        "GET", "/v1/admin/reconciliation/differences", list_differences, ADMIN,
        {200: Page[DifferenceView]}, tag="admin",
    ),
)  # fmt: skip
