"""Check that migrations only expand: the release before goes on working, and nothing waits long.

Two releases share the database while a rollout goes on, and a rollback needs it as it is. A
statement that takes something away, or that locks a table while it reads all of it, is refused
unless a comment right before it says why it is safe:

    -- contract: nobody reads it since 0.4      takes away what no running release uses
    -- expands: the list holds all that the old one held      looks like it takes away, and doesn't
    -- locks: a handful of rows                 may lock, and not for long

What a statement does is squawk's to say (https://squawkhq.com), and infra/migrations.py knows what
squawk doesn't mind. A rollback is refused for the same statements. Migrations from before the first
release are not checked: nobody's data was there. Exit codes: 0 they expand, 1 one does not, 2 wrong
usage or a missing tool.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from infra import migrations as statements
from scripts import ROOT, console, programs
from scripts.programs import ProgramError

REFUSED: Final = 1
FOLDER: Final = ROOT / "service" / "store" / "migrations"
FIRST_CHECKED: Final = 17
"""Number of the first migration that may meet somebody's data."""
SQUAWK: Final = ROOT / "tools" / "squawk"

Kind = Literal["contract", "locks"]

LOCKS: Final = frozenset(tomllib.loads((SQUAWK / "locks.toml").read_text())["rules"])
MARKS: Final[dict[Kind, tuple[str, ...]]] = {
    "contract": ("contract", "expands"),
    "locks": ("locks",),
}
UNUSED: Final = "unused-mark"
CONCURRENTLY: Final = "concurrently-in-transaction"
FORMAL: Final = (UNUSED, CONCURRENTLY)
"""Rules about a file's form; they take nothing away."""
MARK: Final = re.compile(r"^\s*--\s*(contract|expands|locks):\s*(\S.*)$")
OUTSIDE_TRANSACTION: Final = re.compile(
    r"\A(?:\s*--[^\n]*\n)*?--\s*transactional:\s*false\b", re.IGNORECASE
)
"""yoyo's own word, among a file's first comments, for what runs outside of a transaction."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement that is refused; `line` counts from 1."""

    file: str
    line: int
    kind: Kind
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


@console.command("migrations", usage=(OSError, ProgramError))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.migrations", __doc__)
    parser.add_argument("files", type=Path, nargs="*", help="SQL files (the service's own)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    paths = options.files or checked(FOLDER)
    found = [finding for path in paths for finding in check(path)]
    if options.json:
        print(json.dumps({"judged": len(paths), "refused": [asdict(one) for one in found]}))
    else:
        print(f"migrations: {len(paths)} checked, {len(found)} statements refused")
        for finding in found:
            print(f"  {finding}")
    return REFUSED if found else 0


def checked(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.sql"))
    return [path for path in paths if int(path.stem.partition("_")[0]) >= FIRST_CHECKED]


def check(path: Path) -> Iterator[Finding]:
    return check_text(path.name, path.read_text(encoding="utf-8"))


def check_text(file: str, text: str) -> Iterator[Finding]:
    lines = text.splitlines()
    used: set[int] = set()
    if not OUTSIDE_TRANSACTION.search(text):
        yield from _concurrently(file, lines)
    for found in _objections(file, text):
        allowed = MARKS[found.kind]
        marks = [n for n in _before(lines, found.line - 1) if _word(lines[n]) in allowed]
        used.update(marks)
        if not marks:
            detail = " or ".join(f"`-- {word}: <reason>`" for word in allowed)
            message = f"{found.message} Or say before it why it is safe: {detail}"
            yield replace(found, message=message)
    for number, line in enumerate(lines):
        if _word(line) and number not in used:
            said_of = f"-- {_word(line)}: covers nothing; remove it"
            yield Finding(file, number + 1, "contract", UNUSED, said_of)


def contractions(name: str, sql: str) -> list[str]:
    """Return what a migration takes away from a release before it; raise ProgramError.

    What is declared as a contraction is one, what is marked as expanding is none.
    """
    own = statements.contractions(sql)
    others = [
        f"{finding.rule}: {finding.message}"
        for finding in check_text(f"{name}.sql", sql)
        if finding.kind == "contract"
        and finding.rule not in FORMAL
        and not any(each.first <= finding.line <= each.last for each in own)
    ]
    return [each.text for each in own if each.excuse != "expands"] + others


def _objections(file: str, text: str) -> Iterator[Finding]:
    """Yield squawk's objections, then ours to statements that it does not mind."""
    minded: set[int] = set()
    for output in _squawk(text):
        kind: Kind = "locks" if output["rule_name"] in LOCKS else "contract"
        better = f" {output['help']}" if output["help"] else ""
        line = output["line"] + 1
        minded |= {line} if kind == "contract" else set()
        yield Finding(file, line, kind, output["rule_name"], f"{output['message']}{better}")
    for own in statements.contractions(text):
        if not own.declared and minded.isdisjoint(range(own.first, own.last + 1)):
            yield Finding(file, own.first, "contract", "takes-away", f"It {own.text}.")


def _concurrently(file: str, lines: Sequence[str]) -> Iterator[Finding]:
    """Yield what PostgreSQL would refuse inside of a transaction; squawk sees some of it only."""
    for number, line in enumerate(lines, start=1):
        if re.search(r"(?i)\bCONCURRENTLY\b", line.partition("--")[0]):
            remedy = "needs `-- transactional: false` at the head of its file"
            yield Finding(file, number, "contract", CONCURRENTLY, remedy)


def _before(lines: Sequence[str], start: int) -> Iterator[int]:
    for number in range(start - 1, -1, -1):
        code = lines[number].partition("--")[0].rstrip()
        if code.endswith(";"):
            return
        yield number


def _word(line: str) -> str:
    match = MARK.match(line)
    return match[1] if match else ""


def _squawk(text: str) -> list[Any]:
    options = ["--config", str(SQUAWK / "squawk.toml"), "--reporter", "json"]
    options += [] if OUTSIDE_TRANSACTION.search(text) else ["--assume-in-transaction"]
    answer = programs.run(programs.path_of("squawk", "venv"), *options, given=text)
    try:
        found: list[Any] = json.loads(answer)
    except ValueError as error:
        raise ProgramError(f"squawk failed: {answer}") from error
    return found


if __name__ == "__main__":
    sys.exit(main())
