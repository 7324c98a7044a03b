"""The documents name tests and pages that exist."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in TOP), *sorted(DOCS.rglob("*.md"))]
WITH_GUARANTEES = ("develop/resilience.md", "operate/security.md")
"""The documents with a table of guarantees and their tests."""

NAMED = re.compile(r"`((?:[\w/]+/)?test_\w+\.py)(?:::(\w+))?`")
TITLE = "## Guarantees and their tests\n"
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@cache
def files() -> tuple[Path, ...]:
    return tuple((ROOT / "tests").rglob("test_*.py"))


def missing(text: str) -> Iterator[str]:
    """Yield the tests that a page names and that are not there; a file's name may be its end."""
    for name, function in NAMED.findall(text):
        found = [path for path in files() if f"/{path.relative_to(ROOT)}".endswith(f"/{name}")]
        defined = re.compile(rf"^ *(?:async )?def {function}\(", re.MULTILINE)
        if not any(not function or defined.search(path.read_text("utf-8")) for path in found):
            yield f"{name}::{function}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_on_the_page_exists(page: Path) -> None:
    assert list(missing(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", WITH_GUARANTEES)
def test_every_guarantee_names_a_test(name: str) -> None:
    _, _, after = (DOCS / name).read_text(encoding="utf-8").partition(TITLE)
    section, _, _ = after.partition("\n## ")
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row.casefold() != "| guarantee | tests |"]
    assert rows
    for row in rows:
        paths = [path for path, _ in NAMED.findall(row.rpartition(" | ")[2])]
        assert paths, row
        for path in paths:
            assert (ROOT / "tests" / path).is_file(), path


def test_a_test_that_is_not_there_is_noticed() -> None:
    here = "contract/test_documents.py"
    text = f"`{here}`, `{here}::test_of_nothing`, `no_folder/test_documents.py`, `test_gone.py`"
    assert list(missing(text)) == [
        f"{here}::test_of_nothing",
        "no_folder/test_documents.py::",
        "test_gone.py::",
    ]


RECORD = re.compile(r"# (\d+)\. (.+)\n\n- Status: (.+)\n- Date: \d{4}-\d\d-\d\d\n")
SECTIONS = ["Context", "Decision", "Consequences"]


def test_every_decision_has_the_templates_form_and_a_line_in_the_index() -> None:
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    paths = sorted((DOCS / "adr").glob("0*.md"))
    for number, path in enumerate(paths, 1):
        text = path.read_text(encoding="utf-8")
        head = RECORD.match(text)
        assert head, path
        assert (int(head[1]), int(path.name[:4])) == (number, number), "numbers have no holes"
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS, path
        status = re.sub(r"\[(ADR-\d+)\]\([^)]*\)", r"\1", head[3]).partition(";")[0]
        assert f"| {number} | [{head[2]}]({path.name}) | {status} |" in index


def anchors(page: Path) -> set[str]:
    """Return what GitHub calls a page's headings."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    words = (re.sub(r"[^\w\- ]", "", each.casefold()) for each in HEADING.findall(text))
    return {each.replace(" ", "-") for each in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_on_the_page_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"
