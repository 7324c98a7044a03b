"""Grafana's own models of a dashboard read every field that we write, and write the same again."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import documents

DOCUMENTS = documents()
UNMODELLED = {
    # The data source's own part of an annotation; the models have none for data sources.
    ".annotations.list[].titleFormat",
}


def read_back(document: dict[str, Any]) -> dict[str, Any]:
    plugins.register_default_plugins()
    model = Dashboard.from_json(document)
    again: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(model))
    return again


def strangers(given: Any, again: Any, path: str = "") -> Iterator[str]:
    """Yield what the models did not take as it was."""
    if isinstance(given, dict) and isinstance(again, dict):
        for key, value in given.items():
            below = f"{path}.{key}"
            if key in again:
                yield from strangers(value, again[key], below)
            elif below not in UNMODELLED:
                yield f"{below} is no field of Grafana's: {value}"
    elif isinstance(given, list) and isinstance(again, list) and len(given) == len(again):
        for one, other in zip(given, again, strict=True):
            yield from strangers(one, other, f"{path}[]")
    elif given != again:
        yield f"{path} was read as {again!r}, and is {given!r}"


@pytest.mark.parametrize("uid", DOCUMENTS)
def test_grafana_reads_everything_that_is_written(uid: str) -> None:
    document = json.loads(DOCUMENTS[uid])
    assert list(strangers(document, read_back(document))) == []


@pytest.mark.parametrize(
    ("field", "value"), [("span", 12), ("fieldConfig", {"defaults": {"units": "s"}})]
)
def test_a_field_that_grafana_does_not_know_is_noticed(field: str, value: object) -> None:
    document = json.loads(DOCUMENTS["coinslot-overview"])
    document["panels"][1][field] = value
    assert any(field in found for found in strangers(document, read_back(document)))


def test_each_exception_is_needed() -> None:
    document = json.loads(DOCUMENTS["coinslot-overview"])
    again = read_back(document)
    assert "titleFormat" in document["annotations"]["list"][0]
    assert "titleFormat" not in again["annotations"]["list"][0]
