"""The URL table: the router and /openapi.json are both made from it."""

from typing import Final

from service import errors as e
from service.api import admin_ledger, inbound_webhooks, orders, payments
from service.api import schemas as s
from service.api.admin_merchant_webhook_routes import WEBHOOK_ROUTES
from service.api.admin_routes import ADMIN_ROUTES
from service.api.dispute_routes import DISPUTE_ROUTES
from service.views import OrderView, PaymentView, RefundView
from service.web.endpoint import Endpoint

READ: Final = "payments:read"
WRITE: Final = "payments:write"
ADMIN: Final = "payments:admin"

_KEY_ERRORS: Final = (e.IdempotencyKeyReusedError, e.IdempotencyKeyInFlightError)
_BUSY: Final = (e.OverloadedError, e.StoreUnavailableError, e.RequestTimeoutError)
_HELD_ERRORS: Final = (
    e.NotFoundError, e.IllegalTransitionError, e.ProviderUnavailableError, *_KEY_ERRORS, *_BUSY,
)  # fmt: skip

ROUTES: Final = (
    Endpoint(
        method="POST", path="/v1/orders", handler=orders.create_order, scope=WRITE,
        operation_id="createOrder", summary="Create an order", tag="orders", key_optional=True,
        responses={201: OrderView},
        errors=(
            e.GameUnavailableError, e.AmountNotPayableError, e.IntegrationUnavailableError, *_BUSY,
        ),
    ),
    Endpoint(
        method="GET", path="/v1/orders", handler=orders.list_orders, scope=READ,
        operation_id="listOrders", summary="List your orders", tag="orders",
        responses={200: s.OrderPage}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/orders/{order_id}", handler=orders.get_order, scope=READ,
        operation_id="getOrder", summary="Read an order", tag="orders",
        responses={200: OrderView}, errors=(e.NotFoundError, *_BUSY),
    ),
    Endpoint(
        method="POST", path="/v1/orders/{order_id}/cancel", handler=orders.cancel_order,
        scope=WRITE, operation_id="cancelOrder", summary="Cancel an order", tag="orders",
        responses={200: OrderView},
        errors=(
            e.NotFoundError, e.IllegalTransitionError, e.LivePaymentExistsError, *_BUSY,
        ),
    ),
    Endpoint(
        method="POST", path="/v1/payments", handler=payments.create_payment, scope=WRITE,
        operation_id="createPayment", summary="Pay an order", tag="payments", idempotent=True,
        responses={201: PaymentView, 202: PaymentView},
        errors=(
            e.NotFoundError, e.OrderNotPayableError, e.LivePaymentExistsError,
            e.AlreadyOwnedError, e.AmountNotPayableError, e.ProviderUnknownError, *_KEY_ERRORS,
            *_BUSY,
        ),
    ),
    Endpoint(
        method="GET", path="/v1/payments", handler=payments.list_payments, scope=READ,
        operation_id="listPayments", summary="List your payments", tag="payments",
        responses={200: s.PaymentPage}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path="/v1/payments/{payment_id}", handler=payments.get_payment, scope=READ,
        operation_id="getPayment", summary="Read a payment", tag="payments",
        responses={200: PaymentView}, errors=(e.NotFoundError, *_BUSY),
    ),
    Endpoint(
        method="GET", path="/v1/payments/{payment_id}/timeline", handler=payments.get_timeline,
        scope=READ, operation_id="getTimeline", summary="Read a payment's timeline",
        tag="payments", responses={200: s.Timeline}, errors=(e.NotFoundError, *_BUSY),
    ),
    Endpoint(
        method="POST", path="/v1/payments/{payment_id}/capture", handler=payments.capture_payment,
        scope=WRITE, operation_id="capturePayment", summary="Capture an authorized payment",
        tag="payments", idempotent=True, responses={200: PaymentView, 202: PaymentView},
        errors=(e.CaptureExceedsAuthorizedError, *_HELD_ERRORS),
    ),
    Endpoint(
        method="POST", path="/v1/payments/{payment_id}/cancel", handler=payments.cancel_payment,
        scope=WRITE, operation_id="cancelPayment", summary="Cancel an authorized payment",
        tag="payments", idempotent=True, responses={200: PaymentView, 202: PaymentView},
        errors=_HELD_ERRORS,
    ),
    Endpoint(
        method="POST", path="/v1/payments/{payment_id}/refunds", handler=payments.create_refund,
        scope=WRITE, operation_id="createRefund", summary="Refund a payment", tag="refunds",
        idempotent=True, responses={201: RefundView, 202: RefundView},
        errors=(
            e.NotFoundError, e.IllegalTransitionError, e.RefundExceedsCapturedError,
            e.PaymentDisputedError, e.ProviderUnavailableError,
            *_KEY_ERRORS, *_BUSY,
        ),
    ),
    Endpoint(
        method="GET", path="/v1/payments/{payment_id}/refunds", handler=payments.list_refunds,
        scope=READ, operation_id="listRefunds", summary="List a payment's refunds",
        tag="refunds", responses={200: s.RefundList}, errors=(e.NotFoundError, *_BUSY),
    ),
    Endpoint(
        method="GET", path="/v1/admin/invariants", handler=admin_ledger.get_invariants, scope=ADMIN,
        operation_id="getInvariants", summary="Check the money invariants", tag="admin",
        responses={200: s.Invariants}, errors=_BUSY,
    ),
    Endpoint(
        method="POST", path="/v1/webhooks/{provider}", handler=inbound_webhooks.receive_webhook,
        scope=None, operation_id="receiveWebhook", summary="Receive a provider's event",
        tag="webhooks", responses={200: inbound_webhooks.WebhookReceipt},
        errors=(e.WebhookRefusedError, *_BUSY), headers=inbound_webhooks.SIGNATURES,
    ),
    Endpoint(
        method="GET", path="/v1/admin/ledger", handler=admin_ledger.get_ledger, scope=ADMIN,
        operation_id="getLedger", summary="Read a payment's ledger entries", tag="admin",
        responses={200: s.LedgerEntries}, errors=_BUSY,
    ),
    *DISPUTE_ROUTES,
    *ADMIN_ROUTES,
    *WEBHOOK_ROUTES,
)  # fmt: skip
