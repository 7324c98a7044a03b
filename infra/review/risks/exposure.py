"""Who may reach the pods, and whom they may reach."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from infra import ranges
from infra.policy.network import narrows
from infra.policy.objects import Object, dig
from infra.review.fields import canonical
from infra.review.risks.rule import Comparison, Finding, risk

IMPLIED: Final = ("Egress", "Ingress")
"""Directions of a policy that names none; what has no rules of a direction denies it."""
ENTRANCES: Final = ("Ingress", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "Gateway")
RIGHTS: Final = (
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)
TOKEN: Final = "automountServiceAccountToken"  # noqa: S105  a field's name
WORLD_PREFIX: Final = 8
"""A public range this wide or wider is nobody's own network."""
DIRECTIONS: Final = {"egress": "to", "ingress": "from"}


@risk("high")
def network_opened_to_the_world(comparison: Comparison) -> Iterator[Finding]:
    """Name flows to everywhere that were not allowed before."""
    return _opened(comparison, wide=True)


@risk("medium")
def network_opened(comparison: Comparison) -> Iterator[Finding]:
    """Name narrower flows that were not allowed before."""
    return _opened(comparison, wide=False)


@risk("medium")
def network_closed(comparison: Comparison) -> Iterator[Finding]:
    """Name flows that are no longer allowed by a policy: what uses them fails."""
    for change in comparison.of("NetworkPolicy"):
        for direction, way in DIRECTIONS.items():
            gone = _flows(change.old, direction).keys() - _flows(change.new, direction).keys()
            for where in sorted(gone):
                yield change.title, f"NetworkPolicy closes {direction} {way} {where}"


@risk("medium")
def network_selection_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name policies that hold for other pods than before."""
    for change in comparison.kept("NetworkPolicy"):
        if dig(change.old, "spec.podSelector") != dig(change.new, "spec.podSelector"):
            yield change.title, "NetworkPolicy applies to other pods than before"


@risk("high")
def service_published(comparison: Comparison) -> Iterator[Finding]:
    """Name Services that can be reached from outside the cluster now, or lead out of it."""
    for change in comparison.of("Service"):
        old, new = (dig(side, "spec.type") or "ClusterIP" for side in (change.old, change.new))
        if new in ("NodePort", "LoadBalancer") and new != old:
            yield change.title, f"Service is published outside the cluster (type {new})"
        if new == "ExternalName" and change.old != change.new:
            yield change.title, f"requests leave for {dig(change.new, 'spec.externalName')}"
        before, after = (set(dig(s, "spec.externalIPs") or ()) for s in (change.old, change.new))
        for address in sorted(after - before):
            yield change.title, f"Service is published at {address}"
    for change in comparison.of(*ENTRANCES):
        if change.after is not None:
            yield change.title, f"{change.action} a {change.kind}: read whom it lets in, and how"


@risk("high")
def rights_granted(comparison: Comparison) -> Iterator[Finding]:
    """Name roles and bindings that give somebody a right in the cluster."""
    for change in comparison.of(*RIGHTS):
        if change.after is not None:
            yield change.title, f"{change.action} a {change.kind}: read which rights it gives"
    for change in comparison.of("ServiceAccount"):
        had, has = (
            side is not None and side.get(TOKEN) is not False
            for side in (change.before, change.after)
        )
        if has and not had:
            yield change.title, "hands out tokens of the Kubernetes API"
        old, new = (dig(side, "metadata.annotations") or {} for side in (change.old, change.new))
        for key in sorted(new):
            if old.get(key) != new[key]:
                yield change.title, f"{key} is {new[key]}: the account may be somebody elsewhere"


def _opened(comparison: Comparison, *, wide: bool) -> Iterator[Finding]:
    for change in comparison.of("NetworkPolicy"):
        for direction, way in DIRECTIONS.items():
            old, new = (_flows(side, direction) for side in (change.old, change.new))
            for where in sorted(new.keys() - old.keys()):
                if new[where] == wide:
                    yield change.title, f"NetworkPolicy opens {direction} {way} {where}"


def _flows(policy: Object, direction: str) -> dict[str, bool]:
    """Return each allowed flow in words, and whether it is one to everywhere."""
    flows: dict[str, bool] = {}
    if direction.capitalize() not in (dig(policy, "spec.policyTypes") or IMPLIED):
        return flows  # such rules are not applied
    for rule in dig(policy, f"spec.{direction}") or ():
        for peer in rule.get(DIRECTIONS[direction]) or [{}]:
            for port in rule.get("ports") or [{}]:
                flows[f"{_peer(peer)}{_port(port)}"] = _wide(peer)
    return flows


def _peer(peer: Mapping[str, Any]) -> str:
    if not peer:
        return "everywhere"
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return str(block["cidr"]) + "".join(f" except {each}" for each in block.get("except", ()))
    selectors = [
        f"{kind} {_selected(peer[key])}"
        for key, kind in (("namespaceSelector", "namespace"), ("podSelector", "pods"))
        if key in peer
    ]
    return ", ".join(selectors)


def _selected(selector: Mapping[str, Any]) -> str:
    plain = selector.get("matchLabels") or {}
    expressions: Sequence[Any] = selector.get("matchExpressions") or ()
    text = [f"{key.rpartition('/')[2]}={value}" for key, value in plain.items()]
    return " ".join([*text, *map(canonical, expressions)]) or "any"


def _port(port: Mapping[str, Any]) -> str:
    if "port" not in port:
        return " on every port"
    last = f"-{port['endPort']}" if "endPort" in port else ""
    protocol = port.get("protocol", "TCP")
    return f":{port['port']}{last}" + ("" if protocol == "TCP" else f"/{protocol}")


def _wide(peer: Mapping[str, Any]) -> bool:
    if "ipBlock" in peer:
        network = ranges.parsed(peer["ipBlock"]["cidr"])
        spared = str(ranges.LINK_LOCAL) in (peer["ipBlock"].get("except") or ())
        everybody = network.prefixlen <= WORLD_PREFIX and not network.is_private
        holds_metadata = ranges.holds_metadata(network) and not spared
        return everybody or ranges.too_wide(network) or holds_metadata
    return not peer or ("namespaceSelector" in peer and not narrows(peer["namespaceSelector"]))
