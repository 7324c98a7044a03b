"""The bytes of manifests. The expectations were written by the official provider (4.25)."""

from typing import Any

import pytest

from infra.render_provider.manifests import dump
from infra.render_provider.normal import canonical


def lines(**data: Any) -> list[str]:
    return dump({"data": data}).splitlines()[1:]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain text", "  k: plain text"),
        ("true", '  k: "true"'),
        ("on", '  k: "on"'),
        ("1", '  k: "1"'),
        ("0x1f", '  k: "0x1f"'),
        ("1e3", '  k: "1e3"'),
        ("2026-01-02", '  k: "2026-01-02"'),
        ("", '  k: ""'),
        ("~", '  k: "~"'),
        ("10m", "  k: 10m"),
        ("{{ $value }}", "  k: '{{ $value }}'"),
        ("a: b", "  k: 'a: b'"),
        ("#x", "  k: '#x'"),
        (3.0, "  k: 3"),
        (0.5, "  k: 0.5"),
        (True, "  k: true"),
        ([], "  k: []"),
        ({}, "  k: {}"),
    ],
)
def test_scalars_are_styled_as_go_does(value: Any, written: str) -> None:
    assert lines(k=value) == [written]


def test_texts_of_several_lines_are_blocks() -> None:
    assert lines(k="one\ntwo\n") == ["  k: |", "    one", "    two"]
    assert lines(k="one\ntwo") == ["  k: |-", "    one", "    two"]


def test_keys_are_in_natural_order() -> None:
    assert lines(b=1, a10=1, a9=1, B=1) == ["  B: 1", "  a9: 1", "  a10: 1", "  b: 1"]


def test_lists_stand_below_their_key() -> None:
    assert lines(k=["a", {"b": 1}]) == ["  k:", "  - a", "  - b: 1"]


def test_long_lines_are_folded_at_80() -> None:
    text = "word " * 20 + "end"

    assert all(len(line) <= 84 for line in lines(k=text))
    assert len(lines(k=text)) == 2


def test_long_quoted_text_is_folded_at_spaces() -> None:
    text = 'tab\tand "quote"  ' * 8 + "end"

    first, *rest = lines(k=text)
    assert (
        first
        == r'  k: "tab\tand \"quote\"  tab\tand \"quote\"  tab\tand \"quote\"  tab\tand \"quote\"'
    )
    assert rest[0].startswith(r"    \ tab\tand")


def test_what_is_beyond_the_first_plane_is_escaped() -> None:
    assert lines(k="£ 😀") == [r'  k: "£ \U0001F600"']


def test_a_long_key_has_a_line_of_its_own() -> None:
    assert lines(**{"k" * 128: "v"}) == [f"  {'k' * 128}: v"]
    assert lines(**{"k" * 129: "v"}) == [f"  ? {'k' * 129}", "  : v"]


@pytest.mark.parametrize(
    ("quantity", "written"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("250m", "250m"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("512", "512"),
        ("1e3", "1e3"),
        ("0.0", "0"),
        (1.0, "1"),
        ("much", "much"),
    ],
)
def test_quantities_are_written_as_an_api_server_does(quantity: str | float, written: str) -> None:
    assert canonical(quantity) == written
