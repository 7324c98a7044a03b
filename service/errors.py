"""Every error that a client can see: one class a code, each with its HTTP status.

The docs' error catalog and the problem documents (RFC 9457) are made from these classes.
A message may reach the client, so it never holds a secret or another user's data.
"""

from typing import ClassVar

import msgspec


class ProblemField(msgspec.Struct, frozen=True):
    """What is wrong with one field; `field` is a JSONPath such as `$.items[0].quantity`."""

    field: str
    detail: str


class ServiceError(Exception):
    """Base of every error that is answered as a problem document.

    `retry_after_s` becomes a Retry-After header; `fields` become the document's `errors`.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    retry_after_s: int | None = None

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after_s: int | None = None,
        fields: tuple[ProblemField, ...] = (),
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s
        self.fields = fields


class ValidationFailedError(ServiceError):
    """The request is well-formed JSON, but not what the operation takes."""

    status, code, title = 422, "validation_failed", "The request is not valid"


class MalformedRequestError(ServiceError):
    """The body is not JSON, or the query or a header can't be read."""

    status, code, title = 400, "malformed_request", "The request cannot be read"


class IdempotencyKeyMissingError(ServiceError):
    """Draft-ietf-httpapi-idempotency-key-header, 2.7: a missing key is a 400."""

    status, code, title = 400, "idempotency_key_missing", "Send an Idempotency-Key header"


class IdempotencyKeyInvalidError(ServiceError):
    """The key is not 1 to 255 visible ASCII characters."""

    status, code, title = 400, "idempotency_key_invalid", "The Idempotency-Key cannot be used"


class IdempotencyKeyReusedError(ServiceError):
    """The same key came with another request before."""

    status, code, title = 422, "idempotency_key_reused", "This key belongs to another request"


class IdempotencyKeyInFlightError(ServiceError):
    """The first request under this key is still running."""

    status, code, title = 409, "idempotency_key_in_flight", "The first request is still running"
    retry_after_s = 2


class UnauthenticatedError(ServiceError):
    """No bearer token, or one that is not valid; the answer doesn't reveal which."""

    status, code, title = 401, "unauthenticated", "Send a valid bearer token"


class ScopeMissingError(ServiceError):
    """The token is valid and lacks the operation's scope."""

    status, code, title = 403, "scope_missing", "The token lacks a scope"


class NotFoundError(ServiceError):
    """No such thing, or not yours; the answer doesn't reveal which."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowedError(ServiceError):
    """The path exists and the method doesn't."""

    status, code, title = 405, "method_not_allowed", "This method is not allowed here"


class PayloadTooLargeError(ServiceError):
    """The body is larger than the service reads."""

    status, code, title = 413, "payload_too_large", "The body is too large"


class UnsupportedMediaTypeError(ServiceError):
    """The body is not application/json, or it has a Content-Encoding."""

    status, code, title = 415, "unsupported_media_type", "Send application/json"


class RequestBodyTimeoutError(ServiceError):
    """The client took too long to send the body (RFC 9110, 15.5.9)."""

    status, code, title = 408, "request_body_timeout", "The body took too long to arrive"


class ClientClosedRequestError(ServiceError):
    """The client hung up before its body was through; nobody gets this, but it is counted."""

    status, code, title = 499, "client_closed_request", "The client closed the connection"


class RateLimitedError(ServiceError):
    """The user or the address has sent more requests than it may; see the RateLimit headers."""

    status, code, title = 429, "rate_limited", "Too many requests"


class WebhookRefusedError(ServiceError):
    """The signature is missing, wrong or too old; the answer doesn't reveal which."""

    status, code, title = 400, "webhook_refused", "The webhook's signature is not valid"


class WebhookUrlTakenError(ServiceError):
    """An endpoint that is not closed has this URL; its secret can be rotated, not shown again."""

    status, code, title = 409, "webhook_url_taken", "Another endpoint has this URL"


class WebhookEndpointsFullError(ServiceError):
    """There are as many endpoints as every event is matched with; close one first."""

    status, code, title = 409, "webhook_endpoints_full", "There are too many endpoints"


class WebhooksNotSetUpError(ServiceError):
    """WEBHOOK_MASTER_KEYS is empty, so that no secret can be made."""

    status, code, title = 409, "webhooks_not_set_up", "Merchant webhooks are not set up here"


class OrderNotPayableError(ServiceError):
    """The order is paid, canceled or expired."""

    status, code, title = 409, "order_not_payable", "The order cannot be paid"


class LivePaymentExistsError(ServiceError):
    """The order has a payment under way, or one that succeeded."""

    status, code, title = 409, "live_payment_exists", "The order already has a live payment"


class AlreadyOwnedError(ServiceError):
    """The user owns one of the games, or another payment has reserved it."""

    status, code, title = 409, "already_owned", "A game of this order is already owned"


class IllegalTransitionError(ServiceError):
    """The order or payment is in a status that doesn't allow this."""

    status, code, title = 409, "illegal_transition", "Not possible in the present status"


class RefundExceedsCapturedError(ServiceError):
    """More would be refunded than was captured."""

    status, code, title = 409, "refund_exceeds_captured", "More than is left to refund"


class PaymentDisputedError(ServiceError):
    """The buyer's bank takes the money back, or has taken it: a refund would pay twice."""

    status, code, title = 409, "payment_disputed", "The payment is disputed"


class CaptureExceedsAuthorizedError(ServiceError):
    """More would be captured than the buyer's bank holds for us."""

    status, code, title = 409, "capture_exceeds_authorized", "More than is authorized"


class GameUnavailableError(ServiceError):
    """The Game Catalog doesn't know the game, or doesn't sell it in this currency."""

    status, code, title = 422, "game_unavailable", "A game is not for sale"


class AmountNotPayableError(ServiceError):
    """No payment provider that may be used takes an amount as small or as large as this."""

    status, code, title = 422, "amount_not_payable", "This amount cannot be paid"


class ProviderUnknownError(ServiceError):
    """The payment provider is not configured here."""

    status, code, title = 422, "provider_unknown", "No such payment provider"


class IntegrationUnavailableError(ServiceError):
    """A service that the answer needs does not answer."""

    status, code, title = 503, "integration_unavailable", "A needed service does not answer"


class ProviderUnavailableError(ServiceError):
    """The payment provider does not answer; nothing was done."""

    status, code, title = 503, "provider_unavailable", "The payment provider does not answer"


class OverloadedError(ServiceError):
    """A queue is full or too many requests are in flight; the request was not begun."""

    status, code, title = 503, "overloaded", "Too busy right now"


class StoreUnavailableError(ServiceError):
    """The database does not answer."""

    status, code, title = 503, "store_unavailable", "The database does not answer"


class RequestTimeoutError(ServiceError):
    """The request took longer than any may; what it began goes on or is repaired."""

    status, code, title = 503, "request_timeout", "The request took too long"


class InternalError(ServiceError):
    """Anything unforeseen; the correlation id finds it in the logs."""

    status, code, title = 500, "internal_error", "Something went wrong"
