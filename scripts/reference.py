"""The reference pages: log events, errors, alerts, states of things, the stacks' rules.

Each page is made from what the service itself runs on, so it can't say anything else.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from alerts import AREAS, all_recordings
from alerts.external_catalog import EXPORTERS
from alerts.model import AT_ONCE, Alert
from infra.parity import EXPECTED
from infra.policy import RULES
from infra.policy.waivers import WAIVERS
from service import errors, events
from service.api.routes import ROUTES
from service.domain import dispute, order, payment, refund
from service.errors import ServiceError
from service.merchant_webhooks import catalog
from service.web.examples import AT, example_of

MADE: Final = "<!-- Made by `make render`; edit {source} instead. -->"

INDEX: Final = {
    "alerts.md": "every alert, its threshold, its delay and the reason for both",
    "errors.md": "every error of the API, its code and its status",
    "events.md": "every log event and its fields",
    "policy.md": "every rule for manifests, and the waivers",
    "states.md": "the states of orders, payments, refunds and disputes",
    "webhooks.md": "every event that merchants receive, and its fields",
}

KINDS: Final[Mapping[events.Kind, str]] = {
    "payment": "Orders, payments and refunds: what happened to the money.",
    "audit": "What people did, and whether the books are right.",
    "integration": "Providers, the Library, the Game Catalog.",
    "security": "Who was turned away, and why.",
    "performance": "What requests took.",
    "service": "The process itself.",
}

States = Mapping[Any, Iterable[StrEnum]]
MACHINES: Final[tuple[tuple[str, States, Sequence[StrEnum]], ...]] = (
    ("Orders", order.TRANSITIONS, (order.OrderStatus.PENDING,)),
    ("Payments", payment.TRANSITIONS, sorted(payment.FIRST)),
    ("Refunds", refund.TRANSITIONS, (refund.RefundStatus.PENDING,)),
    ("Disputes", dispute.TRANSITIONS, sorted(dispute.DisputeStatus)),
)


def write(folder: Path) -> None:
    """Write the pages into `folder`, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    made = {
        "alerts.md": _alerts(),
        "events.md": _events(),
        "errors.md": _errors(),
        "states.md": _states(),
        "policy.md": _policy(),
        "webhooks.md": _webhooks(),
    }
    made["README.md"] = _index()
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def _index() -> Iterator[str]:
    yield from _head("Reference", "scripts/reference.py")
    yield "Each page is generated from the code that it describes."
    yield ""
    yield from (f"- [{name}]({name}): {about}" for name, about in INDEX.items())


def _events() -> Iterator[str]:
    yield from _head("Log events", "service/events.py")
    yield "One JSON object a line; `event` is one of these names. Any line may also carry:"
    yield ""
    yield from _table(("Field", "Holds"), ((f"`{n}`", text) for n, text in events.COMMON.items()))
    for kind, about in KINDS.items():
        yield from ("", f"## {kind.capitalize()}", "", about, "")
        yield from _table(
            ("Event", "Level", "Meaning", "Fields"),
            (
                (f"`{name}`", ", ".join(event.levels), event.meaning, _code(event.fields))
                for name, event in sorted(events.CATALOG.items())
                if event.kind == kind
            ),
        )
    yield from ("", "## Fields", "")
    yield from _table(("Field", "Holds"), ((f"`{n}`", text) for n, text in events.FIELDS.items()))


def _errors() -> Iterator[str]:
    yield from _head("Errors", "service/errors.py")
    yield "Every error is a problem document (RFC 9457); `code` is stable and for programs."
    yield ""
    yield from _table(
        ("Status", "Code", "Title", "Meaning", "Operations"),
        map(_error, sorted(_kinds(), key=lambda error: (error.status, error.code))),
    )


def _error(error: type[ServiceError]) -> Sequence[str]:
    names = [route.operation_id for route in ROUTES if error in route.every_error]
    operations = "all" if len(names) == len(ROUTES) else _code(names)
    meaning = " ".join((error.__doc__ or "").split())
    return str(error.status), f"`{error.code}`", error.title, meaning, operations


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _kinds() -> Iterator[type[ServiceError]]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, ServiceError) and kind is not ServiceError:
            yield kind


def _states() -> Iterator[str]:
    yield from _head("States", "TRANSITIONS in service/domain")
    yield "The database refuses every other step as well."
    for title, transitions, first in MACHINES:
        yield from ("", f"## {title}", "", "```mermaid", "stateDiagram-v2")
        yield from (f"    [*] --> {status}" for status in first)
        for status, following in transitions.items():
            steps = [f"    {status} --> {after}" for after in sorted(following)]
            yield from steps or [f"    {status} --> [*]"]
        yield "```"


def _webhooks() -> Iterator[str]:
    yield from _head("Webhooks to merchants", "service/merchant_webhooks/catalog.py")
    yield "How to receive them: [merchant-webhooks.md](../use/merchant-webhooks.md)."
    yield "Amounts are minor units of `currency`."
    yield "`timestamp` is when it happened, not when it was sent."
    yield ""
    names = {type_: catalog.data_of(type_).__name__ for type_ in catalog.CATALOG}
    rows = [(f"`{type_}`", f"[{names[type_]}](#{names[type_].lower()})", meaning)
            for type_, meaning in catalog.CATALOG.items()]  # fmt: skip
    test = (f"`{catalog.TEST}`", "[TestData](#testdata)", "An operator tries the endpoint.")
    yield from _table(("Type", "Data", "Sent when"), [*rows, test])
    shapes: dict[type, str] = {}
    for type_ in catalog.CATALOG:
        shapes.setdefault(catalog.data_of(type_), type_)
    for kind, sent_as in {**shapes, catalog.TestData: catalog.TEST}.items():
        yield from ("", f"## {kind.__name__}", "", " ".join((kind.__doc__ or "").split()), "")
        sample = {"type": sent_as, "timestamp": AT, "data": example_of(kind)}
        yield from ("```json", json.dumps(sample, indent=2), "```")


def _alerts() -> Iterator[str]:
    yield from _head("Alerts", "alerts/*.py and service/slo.py")
    yield "`critical` wakes someone up; `warning` is looked at in working hours. Each name leads to"
    yield "its runbook."
    for area in AREAS:
        if area.alerts:
            yield from ("", f"## {area.name.capitalize()}", "")
            yield from _table(
                ("Alert", "Severity", "Says", "Why this limit", "For", "Why that long"),
                map(_alert, area.alerts),
            )
    yield from ("", "## What is recorded", "")
    yield from _table(
        ("Series, one a namespace", "Is"),
        ((f"`{rule.metric.name}`", rule.metric.help) for rule in all_recordings()),
    )
    yield from ("", "## What others must export", "")
    yield from _table(
        ("Metric", "By", "Needs"),
        ((f"`{one.name}`", who.name, who.needs) for who in EXPORTERS for one in who.metrics),
    )


def _alert(alert: Alert) -> Sequence[str]:
    hold = "at once" if alert.for_duration.duration == AT_ONCE else alert.for_duration.duration
    link = f"[{alert.name}](../operate/runbooks/{alert.name}.md)"
    return (link, str(alert.severity), alert.summary, alert.why, hold, alert.for_duration.why)


def _policy() -> Iterator[str]:
    yield from _head("Policy", "infra/policy and infra/parity.py")
    yield "Every stack keeps these rules. A mandatory one stops a preview; tests demand all."
    yield ""
    yield from _table(
        ("Rule", "Demands", "Because", "Severity"),
        ((f"`{rule.id}`", rule.what, rule.why, rule.severity) for rule in RULES),
    )
    yield from ("", "## Waivers", "", "What is let pass, and until when.", "")
    yield from _table(
        ("Rule", "Objects", "Stacks", "Until", "Because"),
        ((f"`{w.rule}`", w.object, ", ".join(w.stacks), str(w.expires), w.reason) for w in WAIVERS),
    )
    yield from ("", "## Staging and prod", "", "Where they differ, and why (`make parity`).", "")
    yield from _table(
        ("Differs", "At", "Because"),
        ((_code(e.paths), ", ".join(e.places), e.reason) for e in EXPECTED),
    )


def _head(title: str, source: str) -> tuple[str, ...]:
    return MADE.format(source=source), f"# {title}", ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
