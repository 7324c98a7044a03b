"""The part of the URL table that is about merchants' endpoints."""

from typing import Final

from service import admin_views as v
from service import errors as e
from service.api import admin_merchant_webhooks as w
from service.web.endpoint import Endpoint

ADMIN: Final = "payments:admin"
ENDPOINTS: Final = "/v1/admin/webhook-endpoints"
ONE: Final = f"{ENDPOINTS}/{{endpoint_id}}"
_BUSY: Final = (e.OverloadedError, e.StoreUnavailableError, e.RequestTimeoutError)
_FOUND: Final = (e.NotFoundError, *_BUSY)
_STATE: Final = (e.IllegalTransitionError, *_FOUND)

WEBHOOK_ROUTES: Final = (
    Endpoint(
        method="POST", path=ENDPOINTS, handler=w.register_endpoint, scope=ADMIN,
        operation_id="registerWebhookEndpoint", summary="Register a merchant's endpoint",
        tag="merchant webhooks", responses={201: w.EndpointWithSecret},
        errors=(
            e.WebhooksNotSetUpError, e.WebhookUrlTakenError, e.WebhookEndpointsFullError, *_BUSY,
        ),
    ),
    Endpoint(
        method="GET", path=ENDPOINTS, handler=w.list_endpoints, scope=ADMIN,
        operation_id="listWebhookEndpoints", summary="List merchants' endpoints",
        tag="merchant webhooks", responses={200: w.EndpointPage}, errors=_BUSY,
    ),
    Endpoint(
        method="GET", path=ONE, handler=w.get_endpoint, scope=ADMIN,
        operation_id="getWebhookEndpoint", summary="Read a merchant's endpoint",
        tag="merchant webhooks", responses={200: v.EndpointView}, errors=_FOUND,
    ),
    Endpoint(
        method="PATCH", path=ONE, handler=w.change_endpoint, scope=ADMIN,
        operation_id="changeWebhookEndpoint", summary="Change, disable or enable an endpoint",
        tag="merchant webhooks", responses={200: v.EndpointView},
        errors=(e.WebhookUrlTakenError, *_FOUND),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/close", handler=w.close_endpoint, scope=ADMIN,
        operation_id="closeWebhookEndpoint", summary="Close an endpoint for good",
        tag="merchant webhooks", responses={200: v.EndpointView}, errors=_FOUND,
    ),
    Endpoint(
        method="POST", path=f"{ONE}/rotate", handler=w.rotate_secret, scope=ADMIN,
        operation_id="rotateWebhookSecret", summary="Give an endpoint a new secret",
        tag="merchant webhooks", responses={200: w.EndpointWithSecret},
        errors=(e.WebhooksNotSetUpError, *_FOUND),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/test", handler=w.send_test, scope=ADMIN,
        operation_id="testWebhookEndpoint", summary="Send an endpoint a test event",
        tag="merchant webhooks", responses={202: v.DeliveryView}, errors=_STATE,
    ),
    Endpoint(
        method="GET", path=f"{ONE}/deliveries", handler=w.list_deliveries, scope=ADMIN,
        operation_id="listWebhookDeliveries", summary="List an endpoint's deliveries",
        tag="merchant webhooks", responses={200: w.DeliveryPage}, errors=_FOUND,
    ),
    Endpoint(
        method="POST", path=f"{ONE}/deliveries/{{delivery}}/redeliver", handler=w.redeliver,
        scope=ADMIN, operation_id="redeliverWebhook", summary="Send a delivery again",
        tag="merchant webhooks", responses={202: v.DeliveryView}, errors=_STATE,
    ),
)  # fmt: skip
