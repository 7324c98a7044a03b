"""The prose check finds our own words, and leaves code alone."""

from pathlib import Path

import pytest

from scripts import prose


def messages(text: str) -> list[str]:
    return [line.partition(" ")[2] for line in prose.findings("page.md", text)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The completer settles the attempt.", "record the outcome"),
        ("Each cancelled order.", "canceled"),
        ("A payment is handed on.", "fail over"),
        ("A point in time.", "point"),
    ],
)
def test_a_word_that_is_not_the_fields_is_found(text: str, word: str) -> None:
    assert any(f"'{word}'" in line for line in messages(text))


def test_code_and_links_are_left_alone() -> None:
    assert (
        messages("`settled` [a page](settled.md)\n\n    settled = 1\n\n```sh\nsettled\n```\n") == []
    )


def test_a_finding_names_its_place() -> None:
    assert list(prose.findings("page.md", "One.\n\nTwo verbs.\n")) == [
        "page.md:3:5: say 'target' instead of 'verbs'"
    ]


def test_the_api_document_is_read() -> None:
    names = [name for name, _ in prose.texts(())]
    assert any(name.startswith("openapi/paths/") for name in names)
    assert str(Path("docs") / "glossary.md") in names
