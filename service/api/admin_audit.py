"""The seals of the audit trails over HTTP, for operators."""

from typing import Final

import msgspec

from service.admin_views import AuditSealView, seal_view
from service.api.common import ADMIN, CONTEXT, NumberedPageQuery
from service.store import audit_seals as store
from service.store.rows import Page
from service.web.endpoint import Call, Endpoint, Nothing, Reply


async def list_audit_seals(call: Call[Nothing, NumberedPageQuery]) -> Reply:
    """List the seals of the audit trails, newest first."""
    found = await store.list_seals(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(seal_view))


ROUTES: Final = (
    Endpoint(
        "GET", "/v1/admin/audit/seals", list_audit_seals, ADMIN, {200: Page[AuditSealView]},
        tag="admin",
    ),
)  # fmt: skip
