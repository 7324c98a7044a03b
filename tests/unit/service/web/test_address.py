"""Whose request it is: only what trusted proxies add is believed."""

from typing import cast

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from service.addresses import networks
from service.web.address import locator

CLIENT = "203.0.113.7"


class Request:
    """As much of a request as a locator looks at."""

    def __init__(self, remote: str | None, *forwarded: str, name: str = "X-Forwarded-For") -> None:
        self.remote = remote
        self.headers = CIMultiDict([(name, value) for value in forwarded])


def locate(request: Request, trusted: str = "10.0.0.0/8,fd00::/8") -> str:
    return locator(networks(trusted))(cast("web.Request", request))


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for", "X-FORWARDED-FOR"])
def test_a_stranger_cannot_choose_an_address(name: str) -> None:
    assert locate(Request(CLIENT, "198.51.100.1", name=name)) == CLIENT
    assert locate(Request(CLIENT, "198.51.100.1", name=name), trusted="") == CLIENT


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for"])
def test_a_trusted_proxy_names_the_client(name: str) -> None:
    assert locate(Request("10.0.0.1", CLIENT, name=name)) == CLIENT


@pytest.mark.parametrize(
    "forwarded",
    [
        (f"1.2.3.4, {CLIENT}",),
        (f"1.2.3.4, {CLIENT}, 10.9.9.9",),
        ("1.2.3.4", CLIENT),
        (f"1.2.3.4,{CLIENT}", "10.9.9.9, 10.8.8.8"),
        (f"10.1.1.1, {CLIENT}",),
        (f"{CLIENT}:4711",),
        (f" {CLIENT} ",),
        (", ".join(["1.2.3.4"] * 5_000 + [CLIENT]),),
    ],
)
def test_what_the_client_wrote_before_does_not_count(forwarded: tuple[str, ...]) -> None:
    assert locate(Request("10.0.0.1", *forwarded)) == CLIENT


@pytest.mark.parametrize(
    "junk", ["", "unknown", "203.0.113.7.", "203.0.113.07", "a" * 9_999, "::g"]
)
def test_what_is_no_address_ends_the_search_at_the_last_proxy(junk: str) -> None:
    assert locate(Request("10.0.0.1", f"{CLIENT}, {junk}")) == "10.0.0.1"


def test_all_of_an_ipv6_subscriber_is_one_address() -> None:
    names = {
        locate(Request(f"2001:db8:1:2:{host:x}::{host:x}")) for host in (1, 2, 0xABCD, 0xFFFF)
    } | {locate(Request("fd00::1", "[2001:DB8:1:2::9]:443"))}
    assert names == {"2001:db8:1:2::/64"}
    assert locate(Request("2001:db8:1:3::1")) == "2001:db8:1:3::/64"


def test_an_ipv4_address_is_the_same_when_mapped_into_ipv6() -> None:
    assert locate(Request("::ffff:203.0.113.7")) == CLIENT
    assert locate(Request("::ffff:10.0.0.1", CLIENT)) == CLIENT


def test_a_peer_without_an_address_has_a_name_too() -> None:
    assert locate(Request(None)) == locate(Request("")) == "unknown"


@given(header=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_no_header_hides_a_stranger(header: str) -> None:
    assert locate(Request(CLIENT, header)) == CLIENT


@given(spoofed=st.lists(st.ip_addresses().map(str), max_size=12))
def test_no_header_hides_who_stands_before_a_proxy(spoofed: list[str]) -> None:
    assert locate(Request("10.0.0.1", ", ".join([*spoofed, CLIENT]))) == CLIENT
