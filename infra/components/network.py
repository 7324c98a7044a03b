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
    """`peers` are the other ends of the flows; the pods' own follow from the roles."""

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
        self._dns(args, child)
        called = [peer for several in peers.services.values() for peer in several]
        for flow, roles, there in (
            ("database", everyone, peers.database),
            ("cache", (labels.API,), peers.cache),
            ("services", servers, called),
            # Only workers send them; the service itself refuses the same addresses as this flow.
            ("webhooks", (labels.WORKER,), [MERCHANTS]),
        ):
            if there:
                egress = flows.to_peers(there, peers.ip_families)
                flows.allow(scope, flow, roles, child, egress=egress)
        clients = flows.from_namespace(peers.ingress_namespace, labels.HTTP_PORT_NAME)
        flows.allow(scope, "ingress", (labels.API,), child, ingress=[clients])
        prometheus = flows.from_namespace(peers.monitoring_namespace, labels.OPS_PORT_NAME)
        flows.allow(scope, "scrape", servers, child, ingress=[prometheus])
        self.register_outputs({})

    @staticmethod
    def _dns(args: NetworkArgs, opts: pulumi.ResourceOptions) -> None:
        """Let names be asked for; an address that the policy is to let pass is declared."""
        addresses = args.peers.dns_addresses
        flows.allow(
            args.scope,
            "dns",
            flows.ROLES,
            opts,
            egress=flows.dns(addresses),
            annotations={labels.NAME_SERVERS: ",".join(addresses)} if addresses else None,
        )


def _deny_all(scope: Scope, opts: pulumi.ResourceOptions) -> None:
    k8s.networking.v1.NetworkPolicy(
        "deny-all",
        metadata=scope.metadata(labels.resource_name("deny-all")),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Egress", "Ingress"]
        ),
        opts=opts,
    )
