"""Who talks to whom: everything is denied, then the flows that are needed are allowed by name."""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components import flows
from infra.components.scope import Scope
from infra.sections import Network as Peers
from infra.sections import Peer

MERCHANTS: Final = Peer(port=443, internet=True)


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """`peers` are the other sides of the flows; the pods' own side follows from the roles."""

    scope: Scope
    peers: Peers


class Network(pulumi.ComponentResource):
    """The NetworkPolicies of a stack: one a flow, named for it."""

    def __init__(self, args: NetworkArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Network", "network", None, opts)
        scope, peers = args.scope, args.peers
        child = pulumi.ResourceOptions(parent=self)
        _deny_all(scope, child)
        everyone, servers = flows.ROLES, flows.SERVERS
        flows.allow(scope, "dns", everyone, child, egress=flows.dns())
        flows.allow(scope, "database", everyone, child, egress=[flows.to_peer(peers.database)])
        flows.allow(scope, "cache", (labels.API,), child, egress=[flows.to_peer(peers.cache)])
        if peers.services:
            called = [flows.to_peer(peer) for peer in peers.services.values()]
            flows.allow(scope, "services", servers, child, egress=called)
        # Only workers send them; the service itself refuses the same addresses as this flow.
        flows.allow(scope, "webhooks", (labels.WORKER,), child, egress=[flows.to_peer(MERCHANTS)])
        clients = flows.from_namespace(peers.ingress_namespace, labels.HTTP_PORT_NAME)
        flows.allow(scope, "ingress", (labels.API,), child, ingress=[clients])
        prometheus = flows.from_namespace(peers.monitoring_namespace, labels.OPS_PORT_NAME)
        flows.allow(scope, "scrape", servers, child, ingress=[prometheus])
        self.register_outputs({})


def _deny_all(scope: Scope, opts: pulumi.ResourceOptions) -> None:
    k8s.networking.v1.NetworkPolicy(
        "deny-all",
        metadata=scope.metadata(labels.resource_name("deny-all")),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Egress", "Ingress"]
        ),
        opts=opts,
    )
