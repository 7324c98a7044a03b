"""/docs shows the whole document, and nothing that the document could smuggle in."""

import re
from html.parser import HTMLParser

from service.api.routes import ROUTES
from service.web.docs import POLICY, page
from service.web.endpoint import Endpoint
from service.web.openapi import document
from tests.unit.service.web.sample_api import Client, endpoint, raw


class Reader(HTMLParser):
    """Collects tags, attributes, targets and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.targets: set[str] = set()
        self.ids: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "href":
                self.targets.add(value or "")
            if name == "id":
                self.ids.add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_shows_every_operation_and_every_error() -> None:
    shown = Reader(page(document(ROUTES, "1.2.3")))
    for route in ROUTES:
        assert route.operation_id in shown.ids
        assert f"{route.method} {route.path}" in shown.text
        assert all(error.code in shown.text for error in route.every_error)
    assert "coinslot 1.2.3" in shown.text


def test_its_links_lead_somewhere() -> None:
    shown = Reader(page(document(ROUTES, "1")))
    assert shown.targets == {"/openapi.json", *(f"#{name}" for name in shown.ids)}


def test_it_needs_no_script_and_nothing_from_elsewhere() -> None:
    text = page(document(ROUTES, "1"))
    shown = Reader(text)
    assert shown.tags.isdisjoint({"script", "img", "link", "iframe", "object", "form", "base"})
    assert not any(name.startswith("on") or name in {"src", "style"} for name in shown.attributes)


def test_what_the_document_says_stays_text() -> None:
    evil = "<script>alert(1)</script>\"' onload=x"
    hostile: Endpoint = endpoint("POST", "/v1/raw", raw)
    made = document([hostile], evil)
    made["paths"]["/v1/raw"]["post"] |= {"summary": evil, "description": evil}
    shown = Reader(page(made))
    assert "script" not in shown.tags
    assert "onload" not in shown.attributes
    assert evil in shown.text


async def test_it_is_served_with_a_policy_that_allows_its_style_only(client: Client) -> None:
    async with client.get("/docs") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert re.fullmatch(
            r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; "
            r"form-action 'none'; frame-ancestors 'none'",
            POLICY,
        )
        assert (await answer.text()).startswith("<!doctype html>")
