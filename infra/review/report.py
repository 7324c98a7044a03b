"""A review as lines for a terminal, markdown for a pull request, JSON for a script."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Final

from infra.review import Review
from infra.review.fields import FieldChange, canonical
from infra.review.pairing import Action, Change

SIGNS: Final[dict[Action, str]] = {"created": "+", "changed": "~", "replaced": "±", "deleted": "-"}
STYLES: Final = {
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "created": "green",
    "changed": "yellow",
    "replaced": "magenta",
    "deleted": "red",
}
MARKER: Final = "<!-- coinslot: what this change does to the cluster -->"
"""By it the comment on a pull request is found again, and replaced."""
COMMENT_BYTES: Final = 60_000
"""A comment holds 65,536 characters; the rest is for what surrounds the report."""
SHOWN_CHARACTERS: Final = 400
"""Of a value in a line; longer ones are in infra/rendered."""
RISK_WIDTH: Final = 28


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, and how a terminal may color it."""

    text: str
    style: str = ""


def lines(review: Review, revisions: str) -> Iterator[Line]:
    """Yield the report of one stack; `revisions` says what is compared."""
    yield Line(f"{review.stack}: {revisions}", "bold")
    yield Line(f"  objects  {_counted(review.counts())}")
    yield Line(f"  risks    {_counted(review.risk_counts())}")
    for risk in review.risks:
        yield Line(
            f"    {risk.severity.upper():<7}{risk.rule:<{RISK_WIDTH}}{risk.object}: {risk.text}",
            STYLES[risk.severity],
        )
    new = sum(is_new for _, is_new in review.violations)
    yield Line(f"  policies {_violations(len(review.violations), new)}")
    for text, is_new in review.violations:
        yield Line(f"    {'NEW' if is_new else 'known':<7}{text}", STYLES["high"] if is_new else "")
    for change in review.changes:
        yield Line(f"  {_heading(change)}", STYLES[change.action])
        yield from (
            Line(f"      {text}") for each in change.fields for text in _fields(change, each)
        )


def field_lines(field: FieldChange, *, secret: bool = False) -> Iterator[str]:
    """Yield a field's change; an expression of PromQL stands on lines of its own."""
    before, after = ("(secret)" if secret else _shown(each) for each in (field.before, field.after))
    if field.before is None:
        yield f"+ {field.path}: {after}"
    elif field.after is None:
        yield f"- {field.path}: {before}"
    elif field.path.endswith(".expr") or "\n" in f"{field.before}{field.after}":
        yield f"~ {field.path}:"
        yield f"    before  {before}"
        yield f"    after   {after}"
    else:
        yield f"~ {field.path}: {before} → {after}"


def markdown(reviews: Sequence[Review], revisions: str) -> str:
    """Return the reviews as a comment for a pull request, short enough to be one."""
    for details in (True, False):
        parts = [MARKER, "## What this change does to the cluster", revisions, ""]
        parts += [part for review in reviews for part in _sections(review, details=details)]
        text = "\n".join(parts) + "\n"
        if len(text) <= COMMENT_BYTES:
            return text
    return text[:COMMENT_BYTES] + "\n\n… cut here: run `make diff` for the rest\n"


def _sections(review: Review, *, details: bool) -> Iterator[str]:
    yield f"### `{review.stack}`: {_counted(review.counts())}"
    yield ""
    if review.risks:
        yield from ("| severity | what happens | object | rule |", "|---|---|---|---|")
        for risk in review.risks:
            yield (
                f"| {'**high**' if risk.severity == 'high' else risk.severity} "
                f"| {_cell(risk.text)} | {_cell(risk.object)} | `{risk.rule}` |"
            )
    else:
        yield "No risk found."
    yield ""
    for text, is_new in review.violations:
        yield f"- policy violated{' **(new)**' if is_new else ''}: {_cell(text)}"
    if review.changes and details:
        yield from _details(review)
    elif review.changes:
        yield "The fields are too many for a comment: see `make diff`."
    yield ""


def _details(review: Review) -> Iterator[str]:
    body = [
        text
        for change in review.changes
        for text in (
            _heading(change),
            *(f"    {line}" for field in change.fields for line in _fields(change, field)),
        )
    ]
    # Indented code: no text in it can end it, and nothing in it is markup.
    yield "<details><summary>objects and fields</summary>"
    yield ""
    yield from (f"    {line}" for text in body for line in text.splitlines())
    yield ""
    yield "</details>"


def document(review: Review) -> dict[str, Any]:
    """Return a review as JSON-ready values."""
    return {
        "stack": review.stack,
        "objects": review.counts(),
        "risk_counts": review.risk_counts(),
        "risks": [asdict(risk) for risk in review.risks],
        "violations": [{"text": text, "new": new} for text, new in review.violations],
        "changes": [
            {
                "action": change.action,
                "object": change.title,
                "fields": [
                    {"path": path, "before": _masked(change, old), "after": _masked(change, new)}
                    for path, old, new in map(astuple, change.fields)
                ],
            }
            for change in review.changes
        ],
    }


def _fields(change: Change, field: FieldChange) -> Iterator[str]:
    return field_lines(field, secret=_secret(change, field))


def _secret(change: Change, field: FieldChange) -> bool:
    return change.kind == "Secret" and field.path.startswith(("data", "stringData"))


def _masked(change: Change, value: Any) -> Any:
    return "(secret)" if change.kind == "Secret" and isinstance(value, str) else value


def _heading(change: Change) -> str:
    was = ""
    if change.before is not None and change.kept:
        old = change.before["metadata"]["name"]
        was = f" (was {old})" if old != change.name else ""
    cause = f": {change.cause}" if change.action == "replaced" else ""
    return f"{SIGNS[change.action]} {change.action} {change.title}{was}{cause}"


def _counted(counts: dict[Any, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none"


def _violations(count: int, new: int) -> str:
    return f"{count} violated, {new} of them new" if count else "all hold"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _cell(text: str) -> str:
    """Return a text that is no markup in a table's cell, and calls nobody by name."""
    plain = html.escape(text, quote=False).replace("|", "\\|").replace("`", "&#96;")
    return " ".join(plain.replace("@", "&#64;").split())
