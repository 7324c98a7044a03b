"""OpenAPI links: what a client or a test can do with an answer.

Operations that answer with the same kind of thing link to the same operations.
"""

from typing import Any, Final

Json = dict[str, Any]
_ITS_ID: Final = "$response.body#/id"


def _all(parameter: str, value: str, *operation_ids: str) -> Json:
    """Return Link Objects (OpenAPI 3.1, 4.8.20), each with one parameter from the answer."""
    return {name: {"operationId": name, "parameters": {parameter: value}} for name in operation_ids}


_ORDER: Final = {
    **_all("order_id", _ITS_ID, "getOrder", "cancelOrder", "listPayments"),
    "createPayment": {"operationId": "createPayment", "requestBody": {"order_id": _ITS_ID}},
}
_PAYMENT: Final = {
    **_all("payment_id", _ITS_ID, "getPayment", "getTimeline", "capturePayment", "cancelPayment"),
    **_all("payment_id", _ITS_ID, "createRefund", "listRefunds", "getPaymentDetail", "getLedger"),
    **_all("payment_id", _ITS_ID, "resolvePayment", "listPaymentDisputes"),
    **_all("order_id", "$response.body#/order_id", "getOrder"),
}
_REFUND: Final = {
    **_all("refund_id", _ITS_ID, "resolveRefund"),
    **_all("payment_id", "$response.body#/payment_id", "getPayment", "listRefunds"),
}
_RUN: Final = _all("run_id", _ITS_ID, "getReconciliationRun")
_DISPUTES: Final = _all("dispute_id", "$response.body#/items/0/id", "closeDisputeReview")
_MESSAGES: Final = _all("message", "$response.body#/items/0/id", "replayMessage")

LINKS: Final[dict[str, Json]] = {
    "createOrder": _ORDER,
    "getOrder": _ORDER,
    "createPayment": _PAYMENT,
    "getPayment": _PAYMENT,
    "createRefund": _REFUND,
    "requestReconciliation": _RUN,
    "listOutbox": _MESSAGES,
    "listDisputes": _DISPUTES,
}
"""By the operation whose success they follow."""
