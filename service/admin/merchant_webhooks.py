"""The commands about merchants' endpoints."""

import argparse
from typing import Any, Final, get_args
from uuid import UUID

import msgspec

from service.admin.commands import OK, Arguments, actor
from service.admin.output import Output
from service.admin_views import DeliveryView, delivery_view, endpoint_view
from service.api.admin_merchant_webhooks import RegisterEndpoint
from service.merchant_webhooks.catalog import EventType
from service.store.merchant_webhook_endpoints import Change
from service.usecases import merchant_webhook_endpoints
from service.usecases.context import Context
from service.usecases.merchant_webhook_endpoints import Register, WithSecret

_LAST_ID: Final = "the last id of the page before"


def add_looking(add: Any, paged: list[Any], plain: list[Any]) -> None:
    """Add the commands that change nothing."""
    listed = add("endpoints", parents=paged, help="list merchants' webhook endpoints")
    kept = ("enabled", "disabled", "closed", "all")
    listed.add_argument("--state", choices=kept, default="all")
    listed.add_argument("--after", type=UUID, metavar="ID", help=_LAST_ID)
    listed.set_defaults(command=show_endpoints)

    one = add("endpoint", parents=plain, help="show a merchant's webhook endpoint")
    one.add_argument("id", type=UUID)
    one.set_defaults(command=show_endpoint)

    sent = add("deliveries", parents=paged, help="list what was sent to an endpoint")
    sent.add_argument("id", type=UUID)
    states = ("pending", "succeeded", "exhausted", "canceled", "all")
    sent.add_argument("--state", choices=states, default="all")
    sent.add_argument("--before", type=int, metavar="ID", help=_LAST_ID)
    sent.set_defaults(command=show_deliveries)


def add_acting(add: Any, parents: list[Any]) -> None:
    """Add the commands that change an endpoint, or send to it."""
    new = add("endpoint-add", parents=parents, help="register an endpoint; shows its secret")
    new.add_argument("url")
    _add_facts(new)
    new.set_defaults(command=add_endpoint)

    change = add("endpoint-set", parents=parents, help="change, disable or enable an endpoint")
    change.add_argument("id", type=UUID)
    change.add_argument("--url")
    change.add_argument("--status", choices=("enabled", "disabled"))
    _add_facts(change)
    change.set_defaults(command=set_endpoint)

    for name, command, text in (
        ("endpoint-rotate", rotate, "give an endpoint a new secret; shows it"),
        ("endpoint-close", close, "end an endpoint for good"),
        ("endpoint-test", test, "send an endpoint a test event"),
    ):
        found = add(name, parents=parents, help=text)
        found.add_argument("id", type=UUID)
        found.set_defaults(command=command)

    again = add("redeliver", parents=parents, help="send a merchant an event once more")
    again.add_argument("id", type=UUID, help="of the endpoint")
    again.add_argument("delivery", type=int)
    again.set_defaults(command=redeliver)


def _add_facts(command: argparse.ArgumentParser) -> None:
    command.add_argument("--event", action="append", choices=get_args(EventType), metavar="TYPE",
                         help="a type that it is told; again for more (all)")  # fmt: skip
    command.add_argument("--description")


async def show_endpoints(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print endpoints."""
    found = await merchant_webhook_endpoints.list_endpoints(
        ctx, shown=arguments.state, after=arguments.after, limit=arguments.limit
    )
    endpoints = list(map(endpoint_view, found))
    if not out.document({"endpoints": endpoints}):
        out.table(
            f"Endpoints, {arguments.state}",
            ("id", "url", "status", "why", "failing since", "events", "made"),
            [
                (i.id, i.url, i.status, i.disabled_reason, i.failing_since, len(i.event_types),
                 i.created_at)
                for i in endpoints
            ],
        )  # fmt: skip
    return OK


async def show_endpoint(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print all of an endpoint but its secret."""
    endpoint = endpoint_view(await merchant_webhook_endpoints.get(ctx, arguments.id))
    if not out.document(endpoint):
        facts = msgspec.structs.asdict(endpoint) | {"event_types": " ".join(endpoint.event_types)}
        out.facts(f"Endpoint {endpoint.id}", list(facts.items()))
    return OK


async def show_deliveries(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print what was sent to an endpoint."""
    found = await merchant_webhook_endpoints.list_deliveries(
        ctx, arguments.id, state=arguments.state, before=arguments.before, limit=arguments.limit
    )
    deliveries = list(map(delivery_view, found))
    if not out.document({"deliveries": deliveries}):
        out.table(
            f"Deliveries, {arguments.state}",
            ("id", "webhook id", "type", "payment", "status", "tries", "last error", "next try"),
            [
                (i.id, i.webhook_id, i.type, i.payment_id, i.status, i.attempts, i.last_error,
                 i.next_attempt_at)
                for i in deliveries
            ],
        )  # fmt: skip
    return OK


async def add_endpoint(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Register an endpoint and print its secret, once."""
    # The same bounds as over HTTP.
    given = {"url": arguments.url, "note": arguments.note}
    given |= {"event_types": arguments.event, "description": arguments.description or ""}
    body = msgspec.convert(given, RegisterEndpoint)
    made = await merchant_webhook_endpoints.register(
        ctx,
        Register(body.url, body.event_types, body.description),
        actor=actor(arguments),
        reason=body.note,
    )
    return _with_secret(made, out)


async def set_endpoint(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Change what is given."""
    change = Change(arguments.url, arguments.event, arguments.description, arguments.status)
    row = await merchant_webhook_endpoints.change(
        ctx, arguments.id, change, actor=actor(arguments), reason=arguments.note
    )
    if not out.document(endpoint_view(row)):
        out.say(f"endpoint {row.id} is {row.status}: {row.url}")
    return OK


async def rotate(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Give an endpoint a new secret and print it, once."""
    made = await merchant_webhook_endpoints.rotate(
        ctx, arguments.id, actor=actor(arguments), reason=arguments.note
    )
    return _with_secret(made, out)


async def close(ctx: Context, arguments: Arguments, out: Output) -> int:
    """End an endpoint."""
    row = await merchant_webhook_endpoints.close(
        ctx, arguments.id, actor=actor(arguments), reason=arguments.note
    )
    if not out.document(endpoint_view(row)):
        out.say(f"endpoint {row.id} is {row.status}")
    return OK


async def test(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Have the worker send a test event."""
    row = await merchant_webhook_endpoints.send_test(
        ctx, arguments.id, actor=actor(arguments), reason=arguments.note
    )
    return _on_its_way(delivery_view(row), out)


async def redeliver(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Have the worker send an event once more."""
    row = await merchant_webhook_endpoints.redeliver(
        ctx, arguments.id, arguments.delivery, actor=actor(arguments), reason=arguments.note
    )
    return _on_its_way(delivery_view(row), out)


def _with_secret(made: WithSecret, out: Output) -> int:
    endpoint = endpoint_view(made.endpoint)
    if not out.document({"endpoint": endpoint, "secret": made.secret}):
        facts = [("id", endpoint.id), ("url", endpoint.url), ("secret", made.secret)]
        if endpoint.previous_until:
            facts.append(("old secret signs until", endpoint.previous_until))
        out.facts("Shown once; give it to the merchant now", facts)
    return OK


def _on_its_way(delivery: DeliveryView, out: Output) -> int:
    if not out.document(delivery):
        out.say(f"delivery {delivery.id} ({delivery.type}) is due now; the worker sends it")
    return OK
