"""Which statements take something away from a release before them: expand or contract.

A migration expands when the release before goes on working with it; it contracts when that release
may read or write what is no longer allowed. A statement that looks like a contraction and is none
says why, in a comment before it: `-- expands: the table has no rows yet`.

These are the statements that no linter of SQL minds; scripts/migrations.py asks one as well, and
its verdict counts.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

NO_STATEMENT: Final = re.compile(
    r"(?P<line>--[^\n]*)|(?P<block>/\*.*?\*/)|(?P<quote>\$\w*\$).*?(?P=quote)|'(?:[^']|'')*'",
    re.DOTALL,
)
"""Comments and strings, found in one pass: an apostrophe in a comment begins no string."""
REASON: Final = re.compile(r"^\s*--\s*expands:[ \t]*\S", re.MULTILINE)
DECLARED: Final = re.compile(r"^\s*--\s*contract:[ \t]*\S", re.MULTILINE)
"""What its author has declared to take something away."""
LINE_COMMENT: Final = re.compile(r"--[^\n]*")
INTRODUCTION: Final = re.compile(r"(?:\s|--[^\n]*\n)*")
CREATED: Final = re.compile(
    r"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.\"]+)", re.IGNORECASE
)
TABLE: Final = re.compile(
    r"\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?([\w.\"]+)|\bON\s+(?:ONLY\s+)?([\w.\"]+)",
    re.IGNORECASE,
)

SHOWN: Final = 100
"""Characters of a statement in a message."""

TAKES_AWAY: Final[tuple[tuple[str, str], ...]] = (
    (r"\bDROP\s+(TABLE|COLUMN|VIEW|MATERIALIZED|TYPE|SCHEMA|SEQUENCE|DOMAIN)\b", "drops a {1}"),
    (r"\bDROP\s+(FUNCTION|PROCEDURE)\b", "drops a {1} that earlier code may call"),
    (r"\bDROP\s+(CONSTRAINT|INDEX)\b", "drops a {1} that an ON CONFLICT may need"),
    (r"\bRENAME\b", "renames what earlier code knows by its old name"),
    (r"\bSET\s+SCHEMA\b", "moves what earlier code looks for in its old place"),
    (r"\bENABLE\s+ROW\s+LEVEL\s+SECURITY\b", "hides rows from earlier code"),
    (r"^DO\b", "runs a block whose statements can't be checked"),
    (r"\bALTER\s+(?:COLUMN\s+)?[\w\"]+\s+(?:SET\s+DATA\s+)?TYPE\b", "changes a column's type"),
    (r"\bSET\s+NOT\s+NULL\b", "demands a value that earlier code may not write"),
    (r"\bDROP\s+DEFAULT\b", "takes a default that earlier code may rely on"),
    (
        r"\bADD\s+(?:CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY|EXCLUDE)\b",
        "adds a constraint that earlier code may break",
    ),
    (r"\bCREATE\s+UNIQUE\s+INDEX\b", "forbids duplicates that earlier code may write"),
    (
        r"\bADD\s+(?:COLUMN\s+)?(?!CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY|EXCLUDE)"
        r"(?:(?!\bDEFAULT\b|\bGENERATED\b|,).)*\bNOT\s+NULL\b(?!(?:(?!,).)*\b(?:DEFAULT|GENERATED)\b)",
        "adds a column that earlier code doesn't fill and that must not be empty",
    ),
    (r"^TRUNCATE\b|\bDELETE\s+FROM\b", "deletes rows"),
    (r"\bREVOKE\b", "takes a right away"),
)
"""Pattern of a statement, and what it does."""


@dataclass(frozen=True, slots=True)
class Contraction:
    """A statement that takes something away; its lines count from 1.

    `excuse` is the mark in the comment before it, if there is one; `declared` says that only the
    mark speaks for it.
    """

    first: int
    last: int
    text: str
    excuse: Literal["", "contract", "expands"]
    declared: bool = False


def contractions(sql: str) -> list[Contraction]:
    """Return what a migration takes away or declares to; none means that it only expands.

    Tables that the migration itself makes are its own.
    """
    text = NO_STATEMENT.sub(_blank, sql)
    own = {match.lower() for match in CREATED.findall(LINE_COMMENT.sub("", text))}
    found: list[Contraction] = []
    first = 1
    for statement in text.split(";"):
        begins = first + INTRODUCTION.match(statement)[0].count("\n")  # type: ignore[index]
        last = first + statement.count("\n")
        plain = " ".join(LINE_COMMENT.sub("", statement).split())
        takes, excuse = [] if _of(plain, own) else _found(plain), _excuse(statement)
        found += [Contraction(begins, last, each, excuse) for each in takes]
        if excuse == "contract" and not takes:
            text_of = f"declared as a contraction: {plain[:SHOWN]}"
            found.append(Contraction(begins, last, text_of, excuse, declared=True))
        first = last
    return found


def _blank(match: re.Match[str]) -> str:
    """Keep the lines, so that what comes after stands where it stood, and a line's own comment."""
    if match["line"]:
        return match["line"].replace(";", ",")
    return (" " if match["block"] else "''") + "\n" * match[0].count("\n")


def _excuse(statement: str) -> Literal["", "contract", "expands"]:
    if REASON.search(statement):
        return "expands"
    return "contract" if DECLARED.search(statement) else ""


def _of(statement: str, own: set[str]) -> bool:
    """Say whether a statement speaks of a table that is made in the same migration."""
    match = TABLE.search(statement)
    created = CREATED.search(statement)
    return bool(created) or bool(match and (match[1] or match[2]).lower() in own)


def _found(statement: str) -> list[str]:
    shown = statement if len(statement) <= SHOWN else statement[:SHOWN] + "…"
    found = []
    for pattern, meaning in TAKES_AWAY:
        if match := re.search(pattern, statement, re.IGNORECASE):
            what = match[1].lower() if match.groups() else ""
            found.append(f"{meaning.replace('{1}', what)}: {shown}")
    return found
