"""What the enforcer of NetworkPolicies lets through: its table, from pods and policies."""

import re
from ipaddress import IPv4Network
from typing import Any

import pytest

from scripts.cluster.policies import Pod, World, blocks, pod_of, selects, table

RANGE = "10.244.1.0/24"
SHOP, OTHER = "shop", "other"
API = Pod(SHOP, "10.244.1.2", {"app": "api"}, {("http", "TCP"): 8080})
DATABASE = Pod(SHOP, "10.244.2.3", {"app": "db"}, {("postgresql", "TCP"): 5432})
STRANGER = Pod(OTHER, "10.244.1.9", {"app": "api"}, {})
SPACES = {SHOP: {"name": SHOP}, OTHER: {"name": OTHER}}


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": SHOP}, "spec": {"podSelector": {}, **spec}}


def chain(text: str, name: str) -> list[str]:
    found = re.search(rf"chain {name} {{\n(.*?)\n  }}", text, re.DOTALL)
    assert found, f"no {name} in {text}"
    return [line.strip() for line in found[1].splitlines()]


def rules(pod: Pod, direction: str, *policies: dict[str, Any]) -> list[str]:
    text = table(World([API, DATABASE, STRANGER], SPACES, list(policies)), RANGE)
    return chain(text, f"{direction}_{pod.address.replace('.', '_')}")


def test_a_pod_that_no_policy_selects_is_open() -> None:
    text = table(World([STRANGER], SPACES, [policy(policyTypes=["Ingress", "Egress"])]), RANGE)
    assert "jump" not in text


def test_a_policy_without_rules_closes_what_it_names_only() -> None:
    text = table(World([API], SPACES, [policy(policyTypes=["Ingress"])]), RANGE)
    assert chain(text, "ingress_10_244_1_2") == ["drop"]
    assert "egress_" not in text


def test_what_several_policies_allow_adds_up() -> None:
    def allow(port: int) -> dict[str, Any]:
        ports = [{"port": port, "protocol": "TCP"}]
        return policy(policyTypes=["Ingress"], ingress=[{"ports": ports}])

    assert rules(API, "ingress", allow(1), allow(2)) == [
        "tcp dport 1 return",
        "tcp dport 2 return",
        "drop",
    ]


def test_named_ports_are_those_of_the_pod_that_is_asked() -> None:
    to = [{"podSelector": {"matchLabels": {"app": "db"}}}]
    ports = [{"port": "postgresql", "protocol": "TCP"}, {"port": "nothing", "protocol": "TCP"}]
    found = rules(
        API, "egress", policy(policyTypes=["Egress"], egress=[{"to": to, "ports": ports}])
    )
    assert found == ["ip daddr 10.244.2.3 tcp dport 5432 return", "drop"]


def test_peers_are_of_the_same_namespace_unless_another_is_selected() -> None:
    same = [{"podSelector": {"matchLabels": {"app": "api"}}}]
    other = [{"namespaceSelector": {"matchLabels": {"name": OTHER}}}]

    def allowed(sources: list[dict[str, Any]]) -> list[str]:
        return rules(API, "ingress", policy(policyTypes=["Ingress"], ingress=[{"from": sources}]))

    assert allowed(same) == ["ip saddr 10.244.1.2 return", "drop"]
    assert allowed(other) == ["ip saddr 10.244.1.9 return", "drop"]


def test_a_pod_that_is_not_known_yet_has_no_connection() -> None:
    forward = chain(table(World([API], SPACES, []), RANGE), "forward")
    assert f"ip saddr {RANGE} ip saddr != {{ 10.244.1.2 }} drop" in forward
    assert f"ip daddr {RANGE} ip daddr != {{ 10.244.1.2 }} drop" in forward
    nobody = chain(table(World([], SPACES, []), RANGE), "forward")
    assert f"ip saddr {RANGE} drop" in nobody


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"cidr": "10.0.0.0/8"}, ["10.0.0.0/8"]),
        ({"cidr": "10.0.0.0/30", "except": ["10.0.0.0/31"]}, ["10.0.0.2/31"]),
        ({"cidr": "10.0.0.0/31", "except": ["10.0.0.0/8"]}, []),
        ({"cidr": "10.0.0.0/31", "except": ["11.0.0.0/8"]}, ["10.0.0.0/31"]),
        ({"cidr": "10.1.2.3/8", "except": ["10.128.0.1/9"]}, ["10.0.0.0/9"]),
        ({"cidr": "::/0"}, []),
    ],
)
def test_exceptions_are_cut_out_of_a_block(block: dict[str, Any], expected: list[str]) -> None:
    assert list(blocks(block)) == [IPv4Network(each) for each in expected]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "api"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selectors(selector: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    assert selects(selector, API.labels) is expected


def test_a_pod_without_an_address_of_its_own_is_none() -> None:
    metadata = {"namespace": SHOP, "labels": {"app": "api"}}
    ports = [{"name": "http", "containerPort": 8080}]
    spec: dict[str, Any] = {"containers": [{"ports": ports}]}
    status = {"podIP": API.address, "phase": "Running"}
    assert pod_of({"metadata": metadata, "spec": spec, "status": status}) == API
    for other in ({}, {"phase": "Failed", "podIP": API.address}):
        assert pod_of({"metadata": metadata, "spec": spec, "status": other}) is None
    assert (
        pod_of({"metadata": metadata, "spec": {**spec, "hostNetwork": True}, "status": status})
        is None
    )
