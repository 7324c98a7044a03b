"""The bytes of manifests. The expectations were written by the official provider (4.34)."""

from typing import Any

import pytest

from infra.offline_provider.manifests import dump, load


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


@pytest.mark.parametrize("text", ["1", "true", "2026-01-02", "a\nb\n", "x: y", "on", "0o7", ""])
def test_every_text_comes_back(text: str) -> None:
    assert load(dump({"k": text})) == {"k": text}


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="one object"):
        load("- 1")
