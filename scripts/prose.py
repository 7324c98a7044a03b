"""Check the prose: the field's words, one spelling each, and proselint's rules.

    python -m scripts.prose [FILE …]

Reads README.md, CONTRIBUTING.md, CHANGELOG.md, docs/ and the texts of the API's document. Code is
left out, as are the reference pages, whose texts come from the code.
Exit codes: 0 nothing found, 1 findings.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from proselint.checks import __register__
from proselint.config import Config
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, types
from proselint.tools import LintFile

from service.api.routes import ROUTES
from service.web.openapi import document

ROOT: Final = Path(__file__).parents[1]
GENERATED: Final = ROOT / "docs" / "reference"
SHOWN: Final = 1000

CODE: Final = re.compile(
    r"^ *```.*?^ *```|^(?: {4,}|\t)(?![-*\d|]).*?$|`[^`\n]+`|\]\([^)]*\)|<!--.*?-->|<https?:[^>]*>",
    re.MULTILINE | re.DOTALL,
)
WORDS: Final = tomllib.loads((ROOT / "tools" / "proselint" / "words.toml").read_text())
"""Words that are pictures or our own, as patterns, and the field's word instead."""

CHECKS: Final = {
    **dict.fromkeys(("archaism", "cliches", "malapropisms"), True),
    **dict.fromkeys(("mondegreens", "needless_variants", "nonwords", "redundancy"), True),
    **dict.fromkeys(("spelling", "terms", "vocabulary"), True),
}


def main(arguments: Sequence[str] | None = None) -> int:
    paths = [Path(name).resolve() for name in (sys.argv[1:] if arguments is None else arguments)]
    found = [line for name, text in texts(paths) for line in findings(name, text)]
    print("\n".join(found) or "prose: nothing found")
    return 1 if found else 0


@cache
def register() -> None:
    ours = Check(
        check_type=types.PreferredForms(items=WORDS),
        path="vocabulary",
        message="say '{}' instead of '{}'",
    )
    CheckRegistry().register_many((*__register__, ours))


def texts(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of the files, or of everything if there are none."""
    for path in paths or pages():
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    if not paths:
        yield from described("openapi", document(ROUTES, "0"))


def pages() -> Iterator[Path]:
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    yield from (p for p in sorted((ROOT / "docs").rglob("*.md")) if GENERATED not in p.parents)


def described(where: str, part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"summary", "description"} and isinstance(value, str):
                yield f"{where}/{key}", value
            else:
                yield from described(f"{where}/{key}", value)
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from described(f"{where}/{number}", value)


def findings(name: str, text: str) -> Iterator[str]:
    register()
    prose = CODE.sub(lambda code: re.sub(r"\S", " ", code[0]), text)
    for result in LintFile(name, prose).lint(Config(max_errors=SHOWN, checks=CHECKS)):
        yield f"{name}:{':'.join(map(str, result.pos))}: {result.check_result.message}"


if __name__ == "__main__":
    sys.exit(main())
