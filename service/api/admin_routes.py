"""The operators' part of the URL table."""

from typing import Final

from service import admin_views as v
from service import errors as e
from service.api import admin_manual_refunds as manual_refunds
from service.api import admin_operations, admin_review
from service.api import admin_schemas as s
from service.views import OrphanCapture, PaymentView, RefundView
from service.web.endpoint import Endpoint

ADMIN: Final = "payments:admin"
_BUSY: Final = (e.OverloadedError, e.StoreUnavailableError, e.RequestTimeoutError)
_RESOLVE_ERRORS: Final = (e.NotFoundError, e.IllegalTransitionError, *_BUSY)

ADMIN_ROUTES: Final = (
    Endpoint(
        method="GET", path="/v1/admin/review", handler=admin_review.list_review, scope=ADMIN,
        operation_id="listReview", summary="List the review queue", tag="admin",
        responses={200: s.ReviewPage}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/admin/payments/{payment_id}", handler=admin_review.get_payment,
        scope=ADMIN, operation_id="getPaymentDetail", tag="admin",
        summary="Read a payment with its attempts, refunds and ledger entries",
        responses={200: v.PaymentDetailView}, errors=(e.NotFoundError, *_BUSY),
    ),
    Endpoint(
        method="POST", path="/v1/admin/payments/{payment_id}/resolve",
        handler=admin_review.resolve_payment, scope=ADMIN, operation_id="resolvePayment",
        summary="Decide on a payment in review", tag="admin", idempotent=True,
        responses={200: PaymentView}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/refunds/{refund_id}/resolve",
        handler=admin_review.resolve_refund, scope=ADMIN, operation_id="resolveRefund",
        summary="Decide on a refund in review", tag="admin", idempotent=True,
        responses={200: RefundView}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="GET", path="/v1/admin/outbox", handler=admin_operations.list_outbox, scope=ADMIN,
        operation_id="listOutbox", summary="List messages of the outbox", tag="admin",
        responses={200: s.OutboxPage}, errors=_BUSY,
    ),
    Endpoint(
        method="POST", path="/v1/admin/outbox/{message}/replay",
        handler=admin_operations.replay_message, scope=ADMIN, operation_id="replayMessage",
        summary="Send a message again", tag="admin", responses={200: v.OutboxMessageView},
        errors=(e.NotFoundError, e.IllegalTransitionError, *_BUSY),
    ),
    Endpoint(
        method="POST", path="/v1/admin/reconciliation/runs",
        handler=admin_operations.request_run, scope=ADMIN, operation_id="requestReconciliation",
        summary="Request a reconciliation run", tag="admin",
        responses={202: v.ReconciliationRunView}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/admin/reconciliation/runs", handler=admin_operations.list_runs,
        scope=ADMIN, operation_id="listReconciliationRuns", tag="admin",
        summary="List reconciliation runs", responses={200: s.RunPage}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/admin/reconciliation/runs/{run_id}",
        handler=admin_operations.get_run, scope=ADMIN, operation_id="getReconciliationRun",
        summary="Read a reconciliation run", tag="admin",
        responses={200: v.ReconciliationRunView}, errors=(e.NotFoundError, *_BUSY),
    ),
    Endpoint(
        method="GET", path="/v1/admin/reconciliation/differences",
        handler=admin_operations.list_differences, scope=ADMIN, operation_id="listDifferences",
        summary="List reconciliation differences", tag="admin",
        responses={200: s.DifferencePage}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/admin/audit/seals", handler=admin_operations.list_seals,
        scope=ADMIN, operation_id="listAuditSeals", tag="admin",
        summary="List the seals of the audit trails", responses={200: s.SealPage}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/admin/webhooks/parked", handler=manual_refunds.list_parked,
        scope=ADMIN, operation_id="listParkedWebhooks", tag="admin",
        summary="List parked events",
        responses={200: s.ParkedEvents}, errors=_BUSY,
    ),
    Endpoint(
        method="POST", path="/v1/admin/webhooks/replay", handler=manual_refunds.replay_event,
        scope=ADMIN, operation_id="replayParkedWebhook", tag="admin",
        summary="Process a parked event again",
        responses={200: v.ParkedEvent}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/webhooks/dismiss", handler=manual_refunds.dismiss_event,
        scope=ADMIN, operation_id="dismissParkedWebhook", tag="admin",
        summary="Dismiss a parked event for good",
        responses={200: v.ParkedEvent}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/webhooks/dismiss-all", handler=manual_refunds.dismiss_events,
        scope=ADMIN, operation_id="dismissParkedWebhooks", tag="admin",
        summary="Dismiss parked events in bulk",
        responses={200: s.Dismissed}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/admin/orphan-captures", handler=manual_refunds.list_orphans,
        scope=ADMIN, operation_id="listOrphanCaptures", tag="admin",
        summary="List orphan captures",
        responses={200: s.OrphanCaptures}, errors=_BUSY,
    ),
    Endpoint(
        method="POST", path="/v1/admin/orphan-captures/{orphan_id}/retry",
        handler=manual_refunds.retry_orphan, scope=ADMIN, operation_id="retryOrphanCapture",
        summary="Retry the refund of an orphan capture in review", tag="admin",
        idempotent=True, responses={202: OrphanCapture}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/orphan-captures/{orphan_id}/record",
        handler=manual_refunds.record_orphan, scope=ADMIN, operation_id="recordOrphanCapture",
        summary="Record an orphan capture in review as refunded otherwise", tag="admin",
        idempotent=True, responses={200: OrphanCapture}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/refunds/{refund_id}/retry",
        handler=manual_refunds.retry_refund, scope=ADMIN, operation_id="retryRefund",
        summary="Refund again after a refund failed or was reversed",
        tag="admin", idempotent=True, responses={202: RefundView}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/refunds/{refund_id}/record",
        handler=manual_refunds.record_refund, scope=ADMIN, operation_id="recordRefund",
        summary="Record what replaces a refund that failed or was reversed",
        tag="admin", idempotent=True, responses={200: RefundView}, errors=_RESOLVE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/refunds/{refund_id}/dismiss",
        handler=manual_refunds.dismiss_refund, scope=ADMIN, operation_id="dismissRefund",
        summary="Close a reversed refund without a replacement",
        tag="admin", idempotent=True, responses={200: RefundView}, errors=_RESOLVE_ERRORS,
    ),
)  # fmt: skip
