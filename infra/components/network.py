"""Who talks to whom: everything is denied, then the flows that are needed are allowed by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components.scope import Scope
from infra.config import Network as Flows
from infra.config import Peer

DNS_NAMESPACE: Final = "kube-system"
DNS_PORT: Final = 53
DNS_LABELS: Final = {"k8s-app": "kube-dns"}
"""The label of the cluster's DNS pods, whatever implements them."""
SERVERS: Final = (labels.API, labels.WORKER)
ROLES: Final = (*SERVERS, labels.MIGRATE)

net = k8s.networking.v1


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """`flows` names the peers; the pods' own side follows from the roles."""

    scope: Scope
    flows: Flows


class Network(pulumi.ComponentResource):
    """The NetworkPolicies of a stack: one a flow, named for it."""

    def __init__(self, args: NetworkArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Network", "network", None, opts)
        self._scope = args.scope
        self._child = pulumi.ResourceOptions(parent=self)
        flows = args.flows
        self._deny_all()
        self._allow("dns", ROLES, egress=_dns())
        self._allow("database", ROLES, egress=[_to(flows.database)])
        self._allow("cache", SERVERS, egress=[_to(flows.cache)])
        if flows.services:
            self._allow("services", SERVERS, egress=[_to(peer) for peer in flows.services.values()])
        self._allow("ingress", (labels.API,), ingress=[_from(flows.ingress_namespace)])
        self._allow("scrape", SERVERS, ingress=[_from(flows.monitoring_namespace)])
        self.register_outputs({})

    def _deny_all(self) -> None:
        net.NetworkPolicy(
            "deny-all",
            metadata=self._scope.metadata(labels.resource_name("deny-all")),
            spec=net.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Egress", "Ingress"]
            ),
            opts=self._child,
        )

    def _allow(
        self,
        flow: str,
        roles: Sequence[str],
        *,
        ingress: Sequence[k8s.networking.v1.NetworkPolicyIngressRuleArgs] | None = None,
        egress: Sequence[k8s.networking.v1.NetworkPolicyEgressRuleArgs] | None = None,
    ) -> None:
        net.NetworkPolicy(
            flow,
            metadata=self._scope.metadata(labels.resource_name(f"allow-{flow}")),
            spec=net.NetworkPolicySpecArgs(
                pod_selector=_roles(roles),
                policy_types=["Ingress" if ingress else "Egress"],
                ingress=ingress,
                egress=egress,
            ),
            opts=self._child,
        )


def _roles(roles: Sequence[str]) -> k8s.meta.v1.LabelSelectorArgs:
    return k8s.meta.v1.LabelSelectorArgs(
        match_labels={labels.NAME: labels.PROJECT},
        match_expressions=[
            k8s.meta.v1.LabelSelectorRequirementArgs(
                key=labels.COMPONENT, operator="In", values=list(roles)
            )
        ],
    )


def _namespace(
    name: str, pods: Mapping[str, str] | None = None
) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    return net.NetworkPolicyPeerArgs(
        namespace_selector=k8s.meta.v1.LabelSelectorArgs(
            match_labels={labels.NAMESPACE_NAME: name}
        ),
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=pods) if pods else None,
    )


def _port(port: int | str, protocol: str = "TCP") -> k8s.networking.v1.NetworkPolicyPortArgs:
    return net.NetworkPolicyPortArgs(port=port, protocol=protocol)


def _from(namespace: str) -> k8s.networking.v1.NetworkPolicyIngressRuleArgs:
    return net.NetworkPolicyIngressRuleArgs(
        from_=[_namespace(namespace)], ports=[_port(labels.HTTP_PORT_NAME)]
    )


def _to(peer: Peer) -> k8s.networking.v1.NetworkPolicyEgressRuleArgs:
    if peer.cidr is not None:
        there = net.NetworkPolicyPeerArgs(ip_block=net.IPBlockArgs(cidr=peer.cidr))
    else:
        there = _namespace(peer.namespace or "")
    return net.NetworkPolicyEgressRuleArgs(to=[there], ports=[_port(peer.port)])


def _dns() -> list[k8s.networking.v1.NetworkPolicyEgressRuleArgs]:
    return [
        net.NetworkPolicyEgressRuleArgs(
            to=[_namespace(DNS_NAMESPACE, DNS_LABELS)],
            ports=[_port(DNS_PORT, "UDP"), _port(DNS_PORT, "TCP")],
        )
    ]
