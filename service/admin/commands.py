"""The commands: each makes one call of a use case and prints what it returns."""

import argparse
import asyncio
import hashlib
import time
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from service.admin.output import Output
from service.admin_views import (
    PaymentDetailView,
    detail_view,
    difference_view,
    message_view,
    parked_view,
    review_view,
    run_view,
)
from service.api.admin_schemas import EvidenceBody
from service.domain.money import Money
from service.store.inbox_review import Dismissal
from service.store.reconciliation_runs import RunRow
from service.usecases import (
    admin_inbox,
    admin_outbox,
    admin_payment,
    health,
    inbox,
    manual_refunds,
    orphans,
    reconcile,
    review,
)
from service.usecases.admin_commands import AdminCommand, Evidence
from service.usecases.answer import CommandResponse
from service.usecases.context import Context
from service.views import orphan_view

OK: Final = 0
FAILED: Final = 1
FOUND: Final = 3
"""The command did its work and found what should not be: a broken invariant, a difference."""

ENDED: Final = frozenset({"succeeded", "failed"})
LOOK_S: Final = 0.5

Arguments = argparse.Namespace


async def show_review(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print what waits for a person."""
    found = await review.list_review(ctx, after=arguments.after, limit=arguments.limit)
    items = list(map(review_view, found))
    if not out.document({"items": items}):
        out.table(
            "In review",
            ("kind", "id", "payment", "user", "provider", "ref", "amount", "why", "since"),
            [
                (i.kind, i.id, i.payment_id, i.user_id, i.provider, i.provider_ref,
                 Money(i.amount, i.currency), i.failure_code, i.updated_at)
                for i in items
            ],
        )  # fmt: skip
    return OK


async def resolve(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Decide on a payment or refund in review."""
    command = review.Resolve(
        **msgspec.structs.asdict(command_of(arguments, arguments.outcome)),
        outcome=arguments.outcome,
    )
    run_command = review.resolve_payment if arguments.kind == "payment" else review.resolve_refund
    return answered(await run_command(ctx, command), arguments, out)


async def give_back(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Have a refund tried again, book it as made otherwise, or decide that there is none."""
    run_command = _GIVING_BACK[arguments.verb, arguments.kind]
    return answered(await run_command(ctx, command_of(arguments, arguments.verb)), arguments, out)


_GIVING_BACK: Final = {
    ("retry", "orphan"): manual_refunds.retry_orphan,
    ("record", "orphan"): manual_refunds.record_orphan,
    ("retry", "refund"): manual_refunds.retry_refund,
    ("record", "refund"): manual_refunds.record_refund,
    ("dismiss", "refund"): manual_refunds.dismiss_refund,
}


async def show_outbox(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print messages of the outbox."""
    found = await admin_outbox.list_messages(
        ctx, state=arguments.state, after=arguments.after, limit=arguments.limit
    )
    messages = list(map(message_view, found))
    if not out.document({"messages": messages}):
        out.table(
            f"Outbox, {arguments.state}",
            ("id", "topic", "payment", "tries", "last error", "next try", "made"),
            [
                (i.id, i.topic, i.payment_id, i.attempts, i.last_error, i.next_attempt_at,
                 i.created_at)
                for i in messages
            ],
        )  # fmt: skip
    return OK


async def replay(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Make a message due now; the worker sends it."""
    row = await admin_outbox.replay(
        ctx, arguments.message, actor=actor(arguments), reason=arguments.note
    )
    if not out.document(message_view(row)):
        out.say(f"message {row.id} ({row.topic}) is due now; the worker sends it")
    return OK


async def show_orphans(ctx: Context, _arguments: Arguments, out: Output) -> int:
    """Print charges that pay nothing."""
    found = list(map(orphan_view, await orphans.newest(ctx)))
    if not out.document({"orphans": found}):
        out.table(
            "Orphan captures",
            ("id", "status", "payment", "provider", "ref", "amount", "refund", "last error"),
            [
                (i.id, i.status, i.payment_id, i.provider, i.provider_ref,
                 Money(i.amount, i.currency), i.refund_ref, i.last_error)
                for i in found
            ],
        )  # fmt: skip
    return OK


async def show_parked(ctx: Context, _arguments: Arguments, out: Output) -> int:
    """Print events that found no payment."""
    found = list(map(parked_view, await inbox.list_parked(ctx)))
    if not out.document({"events": found}):
        names = [
            "provider",
            "event_id",
            "type",
            "charge_ref",
            "payment_id",
            "claimed_status",
            "last_error",
        ]
        out.table("Parked events", names, [[getattr(i, name) for name in names] for i in found])
    return OK


async def end_parked(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Have a parked event looked at once more, or dismiss it."""
    row = await admin_inbox.end_parked(
        ctx,
        arguments.provider,
        arguments.event,
        again=arguments.again,
        actor=actor(arguments),
        reason=arguments.note,
    )
    if not out.document(parked_view(row)):
        what = "due now; the worker looks at it" if arguments.again else "dismissed"
        out.say(f"event {row.event_id} of {row.provider} is {what}")
    return OK


async def dismiss_parked(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Dismiss parked events, call by call until none is left."""
    which = Dismissal(arguments.provider, arguments.type, arguments.before, arguments.named)
    total = 0
    while count := await admin_inbox.dismiss_parked(
        ctx, which, actor=actor(arguments), reason=arguments.note
    ):
        total += count
    if not out.document({"dismissed": total}):
        out.say(f"{total} parked events of {arguments.provider} are dismissed")
    return OK


async def run_reconciliation(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Compare the books here and now; FOUND if there are open differences afterwards."""
    asked = await reconcile.request_run(ctx, actor=actor(arguments), reason=arguments.note)
    run = await _until_ended(ctx, asked.id, arguments.wait)
    if run.status not in ENDED:
        out.document(run_view(run))
        out.say(f"run {run.id} is {run.status} after {arguments.wait:g} s; it goes on")
        return FAILED
    if not out.document(run_view(run)):
        names = ("status", "error", "charges", "payments", "grants", "differences",
                 "foreign_charges")  # fmt: skip
        out.facts(f"Run {run.id}", [(name, getattr(run, name)) for name in names])
    if run.status == "failed":
        return FAILED
    return FOUND if run.differences else OK


async def show_differences(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print differences; FOUND if there are any that are open."""
    found = await reconcile.list_differences(
        ctx,
        shown=arguments.state,
        kind=arguments.kind,
        after=arguments.after,
        limit=arguments.limit,
    )
    differences = list(map(difference_view, found))
    if not out.document({"differences": differences}):
        out.table(
            f"Differences, {arguments.state}",
            ("kind", "source", "subject", "payment", "ours", "theirs", "first seen", "seen"),
            [
                (i.kind, i.source, i.subject, i.payment_id, i.ours, i.theirs, i.first_seen,
                 i.times_seen)
                for i in differences
            ],
        )  # fmt: skip
    return FOUND if any(i.resolved_at is None for i in differences) else OK


async def show_invariants(ctx: Context, _arguments: Arguments, out: Output) -> int:
    """Print the money invariants; FOUND if one is broken."""
    violations = await health.violations(ctx)
    if not out.document({"invariants": violations}):
        rows = [(name, count, "broken" if count else "holds") for name, count in violations.items()]
        out.table("Money invariants", ("invariant", "violations", "verdict"), rows)
    return FOUND if any(violations.values()) else OK


async def show_payment(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print all that is known of a payment."""
    detail = detail_view(await admin_payment.payment_with_all(ctx, arguments.id))
    if not out.document(detail):
        _print_payment(detail, out)
    return OK


def actor(arguments: Arguments) -> str:
    """Return who acts, marked as what it is: a name that nobody has verified."""
    return f"cli:{arguments.actor}"


def command_of(arguments: Arguments, verb: str) -> AdminCommand:
    """Return who decides what, and on what evidence."""
    given = {
        "note": arguments.note,
        "provider_ref": getattr(arguments, "provider_ref", None),
        "amount": getattr(arguments, "amount", None),
    }
    evidence = msgspec.convert(given, EvidenceBody)
    return AdminCommand(
        actor=actor(arguments),
        subject_id=arguments.id,
        evidence=Evidence(evidence.note, evidence.provider_ref, evidence.amount),
        key=arguments.key or str(uuid4()),
        fingerprint=_fingerprint(arguments.kind, arguments.id, verb, evidence),
    )


def _fingerprint(*parts: Any) -> bytes:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).digest()


def answered(answer: CommandResponse, arguments: Arguments, out: Output) -> int:
    """Print what a decision came to."""
    body = msgspec.json.decode(answer.body)
    if not out.document(body):
        before = "; decided before under this key" if answer.replayed else ""
        out.say(f"{arguments.kind} {body['id']} is {body['status']}{before}")
    return OK


async def _until_ended(ctx: Context, run_id: UUID, wait_s: float) -> RunRow:
    """Run here, unless another process is at it: then wait for that."""
    deadline = time.monotonic() + wait_s
    while True:
        await reconcile.run_due(ctx)
        run = await reconcile.get_run(ctx, run_id)
        if run.status in ENDED or time.monotonic() > deadline:
            return run
        await asyncio.sleep(LOOK_S)


def _print_payment(detail: PaymentDetailView, out: Output) -> None:
    payment = detail.payment
    money = [
        (name, Money(getattr(payment, name), payment.currency))
        for name in ("amount", "captured", "refunded", "refund_pending")
    ]
    facts = [
        ("status", payment.status), ("failure_code", payment.failure_code), *money,
        ("user", detail.user_id), ("order", payment.order_id), ("provider", payment.provider),
        ("provider_ref", detail.provider_ref), ("created", payment.created_at),
        ("updated", payment.updated_at),
    ]  # fmt: skip
    out.facts(f"Payment {payment.id}", facts)
    _print_list(out, "Attempts", detail.attempts, "id operation status checks error_code")
    _print_list(out, "Refunds", detail.refunds, "id status amount reason failure_code")
    _print_list(out, "Orphans", detail.orphans, "id status amount provider_ref refund_ref")
    _print_list(out, "Disputes", detail.disputes, "id status amount evidence_due_at review")
    _print_list(out, "Fraud warnings", detail.fraud_warnings, "id status fraud_type actionable")
    _print_list(out, "Games", detail.entitlements, "game_id quantity status id")
    _print_list(out, "Ledger", detail.ledger, "at kind account amount currency")
    _print_list(out, "Events", detail.events, "seq at event data")
    _print_list(
        out, "Outbox", detail.outbox, "id topic attempts delivered_at given_up_at last_error"
    )
    _print_list(
        out, "Operators", detail.actions, "at actor subject subject_id action reason evidence"
    )
    _print_list(out, "Differences", detail.differences, "kind source ours theirs resolved_at")


def _print_list(out: Output, title: str, items: tuple[Any, ...], fields: str) -> None:
    names = fields.split()
    out.table(title, names, [[getattr(item, name) for name in names] for item in items])
