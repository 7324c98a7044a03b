"""The part of the URL table that is about disputes."""

from typing import Final

from service import errors as e
from service.api import disputes
from service.dispute_views import AdminDispute, FraudWarningView
from service.web.endpoint import Endpoint

READ: Final = "payments:read"
ADMIN: Final = "payments:admin"
_BUSY: Final = (e.OverloadedError, e.StoreUnavailableError, e.RequestTimeoutError)
_CLOSE_ERRORS: Final = (e.NotFoundError, e.IllegalTransitionError, *_BUSY)

DISPUTE_ROUTES: Final = (
    Endpoint(
        method="GET", path="/v1/payments/{payment_id}/disputes", handler=disputes.list_of_payment,
        scope=READ, operation_id="listPaymentDisputes", summary="List a payment's disputes",
        tag="payments", responses={200: disputes.DisputeList}, errors=(e.NotFoundError, *_BUSY),
    ),
    Endpoint(
        method="GET", path="/v1/admin/disputes", handler=disputes.list_all, scope=ADMIN,
        operation_id="listDisputes", summary="List disputes, newest first", tag="admin",
        responses={200: disputes.DisputePage}, errors=_BUSY,
    ),
    Endpoint(
        method="POST", path="/v1/admin/disputes/{dispute_id}/close", handler=disputes.close,
        scope=ADMIN, operation_id="closeDisputeReview", tag="admin", idempotent=True,
        summary="Close the review of a dispute, and revoke the games of a lost one",
        responses={200: AdminDispute}, errors=_CLOSE_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/admin/fraud-warnings/{warning_id}/close",
        handler=disputes.close_warning, scope=ADMIN, operation_id="closeFraudWarning", tag="admin",
        summary="Close a warning of fraud", idempotent=True,
        responses={200: FraudWarningView}, errors=_CLOSE_ERRORS,
    ),
)  # fmt: skip
