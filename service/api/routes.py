"""The URL table: the router, /openapi.json and the operators' commands are all made from it."""

from typing import Final

from service.api import (
    admin_audit,
    admin_inbox,
    admin_ledger,
    admin_manual_refunds,
    admin_merchant_webhooks,
    admin_outbox,
    admin_reconciliation,
    admin_review,
    disputes,
    inbound_webhooks,
    orders,
    payments,
    refunds,
)

ROUTES: Final = (
    *orders.ROUTES,
    *payments.ROUTES,
    *refunds.ROUTES,
    *inbound_webhooks.ROUTES,
    *disputes.ROUTES,
    *admin_review.ROUTES,
    *admin_manual_refunds.ROUTES,
    *admin_inbox.ROUTES,
    *admin_outbox.ROUTES,
    *admin_ledger.ROUTES,
    *admin_reconciliation.ROUTES,
    *admin_audit.ROUTES,
    *admin_merchant_webhooks.ROUTES,
)
