"""What can be done with an answer: OpenAPI links, by which a client or a test goes on from it.

Operations that answer with the same kind of thing lead to the same places.
"""

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """An operation to go on with, and what it takes from the answer (runtime expressions)."""

    operation_id: str
    parameters: dict[str, str] = field(default_factory=dict)
    body: Json | None = None

    def described(self) -> Json:
        """Return the Link Object (OpenAPI 3.1, 4.8.20)."""
        found: Json = {"operationId": self.operation_id}
        if self.parameters:
            found["parameters"] = self.parameters
        if self.body is not None:
            found["requestBody"] = self.body
        return found


_ITS_ID: Final = "$response.body#/id"


def _all(parameter: str, value: str, *operation_ids: str) -> tuple[Link, ...]:
    return tuple(Link(operation_id, {parameter: value}) for operation_id in operation_ids)


_ORDER: Final = (
    *_all("order_id", _ITS_ID, "getOrder", "cancelOrder", "listPayments"),
    Link("createPayment", body={"order_id": _ITS_ID}),
)
_PAYMENT: Final = (
    *_all("payment_id", _ITS_ID, "getPayment", "getTimeline", "capturePayment", "cancelPayment"),
    *_all("payment_id", _ITS_ID, "createRefund", "listRefunds", "getPaymentDetail", "getLedger"),
    *_all("payment_id", _ITS_ID, "resolvePayment", "listPaymentDisputes"),
    *_all("order_id", "$response.body#/order_id", "getOrder"),
)
_REFUND: Final = (
    *_all("refund_id", _ITS_ID, "resolveRefund"),
    *_all("payment_id", "$response.body#/payment_id", "getPayment", "listRefunds"),
)
_RUN: Final = _all("run_id", _ITS_ID, "getReconciliationRun")
_DISPUTES: Final = _all("dispute_id", "$response.body#/items/0/id", "closeDisputeReview")
_MESSAGES: Final = _all("message", "$response.body#/items/0/id", "replayMessage")

LINKS: Final = {
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


def links_of(operation_id: str) -> Json:
    """Return the links of an operation's successful answers, by name."""
    return {link.operation_id: link.described() for link in LINKS.get(operation_id, ())}
