"""Which migrations take something away from a release before them: expand or contract.

A migration expands when the release before goes on working with it; it contracts when that release
may read or write what is no longer allowed. A statement that looks like a contraction and is none
says why, in a comment before it: `-- expands: the table has no rows yet`.
"""

import re
from typing import Final

DOLLAR_QUOTED: Final = re.compile(r"(\$\w*\$).*?\1", re.DOTALL)
STRING: Final = re.compile(r"'(?:[^']|'')*'")
BLOCK_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
REASON: Final = re.compile(r"^\s*--\s*expands:[ \t]*\S", re.MULTILINE)
DECLARED: Final = re.compile(r"^\s*--\s*contract:[ \t]*\S", re.MULTILINE)
"""What its author has declared to take something away (scripts/migrations.py asks for that)."""
LINE_COMMENT: Final = re.compile(r"--[^\n]*")
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
    (r"\bALTER\s+(?:COLUMN\s+)?\w+\s+(?:SET\s+DATA\s+)?TYPE\b", "changes a column's type"),
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
    (r"^TRUNCATE\b|^DELETE\s+FROM\b", "deletes rows"),
    (r"\bREVOKE\b", "takes a right away"),
)
"""Pattern of a statement, and what it does."""


def contractions(name: str, sql: str) -> list[str]:
    """Return what a migration takes away, a sentence each; none means that it only expands.

    `name` is for messages of the caller's. Tables that the migration itself makes are its own.
    """
    del name
    text = DOLLAR_QUOTED.sub("''", BLOCK_COMMENT.sub(" ", sql))
    own = {match.lower() for match in CREATED.findall(LINE_COMMENT.sub("", text))}
    found: list[str] = []
    for statement in STRING.sub("''", text).split(";"):
        if REASON.search(statement):
            continue
        plain = " ".join(LINE_COMMENT.sub("", statement).split())
        if DECLARED.search(statement):
            found.append(f"declared as a contraction: {plain[:SHOWN]}")
        elif not _of(plain, own):
            found += _found(plain)
    return found


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
