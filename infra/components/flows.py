"""NetworkPolicies in terms of this platform: roles, peers, named ports."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Final

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.networking import v1 as net

from infra import labels
from infra.components.scope import Scope
from infra.sections import IpFamily, Peer

DNS_NAMESPACE: Final = "kube-system"
DNS_PORT: Final = 53
DNS_LABELS: Final = {"k8s-app": "kube-dns"}
"""The label of the cluster's DNS pods, whatever implements them."""
SERVERS: Final = (labels.API, labels.WORKER)
ROLES: Final = (*SERVERS, labels.MIGRATE)


def allow(
    scope: Scope,
    flow: str,
    components: Sequence[str],
    opts: pulumi.ResourceOptions,
    *,
    ingress: Sequence[net.NetworkPolicyIngressRuleArgs] | None = None,
    egress: Sequence[net.NetworkPolicyEgressRuleArgs] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> None:
    """Make the policy that lets one flow through to or from the pods of these components."""
    net.NetworkPolicy(
        flow,
        metadata=scope.metadata(labels.resource_name(f"allow-{flow}"), annotations=annotations),
        spec=net.NetworkPolicySpecArgs(
            pod_selector=_components(components),
            policy_types=["Ingress" if ingress else "Egress"],
            ingress=ingress,
            egress=egress,
        ),
        opts=opts,
    )


def from_namespace(namespace: str, port: str) -> net.NetworkPolicyIngressRuleArgs:
    """Take requests of any pod of another namespace."""
    return net.NetworkPolicyIngressRuleArgs(from_=[_namespace(namespace)], ports=[_port(port)])


def from_pods(components: Sequence[str], port: int | str) -> net.NetworkPolicyIngressRuleArgs:
    """Take connections of the stack's own pods."""
    there = net.NetworkPolicyPeerArgs(pod_selector=_components(components))
    return net.NetworkPolicyIngressRuleArgs(from_=[there], ports=[_port(port)])


def to_pods(components: Sequence[str], port: int | str) -> net.NetworkPolicyEgressRuleArgs:
    """Open connections to the stack's own pods."""
    there = net.NetworkPolicyPeerArgs(pod_selector=_components(components))
    return net.NetworkPolicyEgressRuleArgs(to=[there], ports=[_port(port)])


def to_peers(
    peers: Iterable[Peer], families: Sequence[IpFamily]
) -> list[net.NetworkPolicyEgressRuleArgs]:
    """Open connections to ranges of addresses, to namespaces, or to the outside."""
    return [
        net.NetworkPolicyEgressRuleArgs(to=_there(peer, families), ports=[_port(peer.port)])
        for peer in peers
    ]


def _there(peer: Peer, families: Sequence[IpFamily]) -> list[net.NetworkPolicyPeerArgs]:
    if peer.internet:
        blocks = [labels.INTERNET[family] for family in families]
        return [
            net.NetworkPolicyPeerArgs(ip_block=net.IPBlockArgs(cidr=cidr, except_=list(but)))
            for cidr, but in blocks
        ]
    if peer.cidr is not None:
        return [net.NetworkPolicyPeerArgs(ip_block=net.IPBlockArgs(cidr=peer.cidr))]
    return [_namespace(peer.namespace or "")]


def dns(addresses: Sequence[str] = ()) -> list[net.NetworkPolicyEgressRuleArgs]:
    """Ask the cluster's DNS, and the name servers at these addresses."""
    single = [ip_network(address) for address in addresses]
    blocks = [net.IPBlockArgs(cidr=str(each)) for each in single]
    servers = [net.NetworkPolicyPeerArgs(ip_block=block) for block in blocks]
    return [
        net.NetworkPolicyEgressRuleArgs(
            to=[_namespace(DNS_NAMESPACE, DNS_LABELS), *servers],
            ports=[_port(DNS_PORT, "UDP"), _port(DNS_PORT, "TCP")],
        )
    ]


def _components(names: Sequence[str]) -> k8s.meta.v1.LabelSelectorArgs:
    return k8s.meta.v1.LabelSelectorArgs(
        match_labels={labels.NAME: labels.PROJECT},
        match_expressions=[
            k8s.meta.v1.LabelSelectorRequirementArgs(
                key=labels.COMPONENT, operator="In", values=list(names)
            )
        ],
    )


def _namespace(name: str, pods: Mapping[str, str] | None = None) -> net.NetworkPolicyPeerArgs:
    return net.NetworkPolicyPeerArgs(
        namespace_selector=k8s.meta.v1.LabelSelectorArgs(
            match_labels={labels.NAMESPACE_NAME: name}
        ),
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=pods) if pods else None,
    )


def _port(port: int | str, protocol: str = "TCP") -> net.NetworkPolicyPortArgs:
    return net.NetworkPolicyPortArgs(port=port, protocol=protocol)
