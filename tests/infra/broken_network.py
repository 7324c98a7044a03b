"""A broken example for each rule about flows, and about what an intruder could do."""

from infra import labels
from infra.policy.objects import Stack
from tests.infra.stacks import (
    CONFIG,
    FLOW,
    WORKER,
    Break,
    add,
    container,
    drop,
    get,
    pod,
    spec,
)

INTERNET = {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(labels.NOT_PUBLIC)}}
OTHERS = {"key": labels.NAMESPACE_NAME, "operator": "NotIn", "values": ["games"]}
MINE = {"matchLabels": {"app": "prometheus"}}
PIECES = [{"ipBlock": {"cidr": cidr}} for cidr in ("11.0.0.0/9", "11.128.0.0/9", "12.0.0.0/9")]
TOKEN = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
KEYS = {"name": "keys", "secret": {"secretName": "coinslot-secrets"}}
OWNER = {"secretKeyRef": {"name": "coinslot-secrets", "key": "MIGRATION_DATABASE_URL"}}
NODE_DNS = {"ipBlock": {"cidr": "169.254.20.10/32"}}


def declare_name_server(stack: Stack, address: str, port: int = 53) -> None:
    """Let the flow for DNS lead to an address that it declares."""
    policy = get(stack, FLOW, "coinslot-allow-dns")
    policy["metadata"].setdefault("annotations", {})[labels.NAME_SERVERS] = address
    rule = policy["spec"]["egress"][0]
    rule["to"].append({"ipBlock": {"cidr": f"{address}/32"}})
    rule["ports"] = [{"port": port, "protocol": protocol} for protocol in ("UDP", "TCP")]


# What is done to staging, the rule that sees it, and what it says.
NETWORK: dict[str, tuple[Break, str]] = {
    "no default denial": (
        lambda s: drop(s, FLOW, "coinslot-deny-all"),
        "denied-by-default: Deployment coinslot-api can be reached or reach out: Egress, Ingress",
    ),
    "a flow to anywhere": (
        lambda s: spec(s, FLOW, "coinslot-allow-cache")["egress"][0].pop("to"),
        "flows-have-ends: NetworkPolicy coinslot-allow-cache allows egress without naming peers",
    ),
    "metrics for the ingress": (
        lambda s: spec(s, FLOW, "coinslot-allow-ingress")["ingress"][0]["ports"].append(
            {"port": 9464, "protocol": "TCP"}
        ),
        "operations-apart: NetworkPolicy coinslot-allow-ingress leads to the operations port of "
        "Deployment coinslot-api",
    ),
    "Prometheus on the public port": (
        lambda s: spec(s, FLOW, "coinslot-allow-scrape")["ingress"][0]["ports"].append(
            {"port": "http", "protocol": "TCP"}
        ),
        "operations-apart: Deployment coinslot-api lets Prometheus in by http too",
    ),
    "a probe of the public port": (
        lambda s: container(s)["readinessProbe"]["httpGet"].update(port="http"),
        "operations-apart: Deployment coinslot-api has a readinessProbe on port http",
    ),
    "a scrape that ends at the public port": (
        lambda s: spec(s, FLOW, "coinslot-allow-scrape")["ingress"][0]["ports"][0].update(
            port="http"
        ),
        "scrape-reaches-pods: Deployment coinslot-api is monitored, and no policy lets the scrape",
    ),
    "a flow by any port": (
        lambda s: spec(s, FLOW, "coinslot-allow-ingress")["ingress"][0].pop("ports"),
        "flows-have-ends: NetworkPolicy coinslot-allow-ingress allows ingress without naming",
    ),
    "a flow to the whole world": (
        lambda s: spec(s, FLOW, "coinslot-allow-services")["egress"][0].update(
            to=[{"ipBlock": {"cidr": "0.0.0.0/0"}}], ports=[{"port": 443, "protocol": "TCP"}]
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-services allows egress of everybody",
    ),
    "a flow to the internet by another port": (
        lambda s: spec(s, FLOW, "coinslot-allow-services")["egress"][0].update(to=[INTERNET]),
        "flows-have-ends: NetworkPolicy coinslot-allow-services allows egress of everybody",
    ),
    "a flow from every namespace": (
        lambda s: spec(s, FLOW, "coinslot-allow-scrape")["ingress"][0].update(
            {"from": [{"namespaceSelector": {}}]}
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-scrape allows ingress of everybody",
    ),
    "a flow of all namespaces but one": (
        lambda s: spec(s, FLOW, "coinslot-allow-scrape")["ingress"][0].update(
            {"from": [{"namespaceSelector": {"matchExpressions": [OTHERS]}, "podSelector": MINE}]}
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-scrape allows ingress of everybody",
    ),
    "a flow of namespaces with nothing in common": (
        lambda s: spec(s, FLOW, "coinslot-allow-scrape")["ingress"][0].update(
            {"from": [{"namespaceSelector": {"matchLabels": {}}}]}
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-scrape allows ingress of everybody",
    ),
    "a flow to the world in small pieces": (
        lambda s: spec(s, FLOW, "coinslot-allow-database")["egress"][0].update(to=PIECES),
        "flows-have-ends: NetworkPolicy coinslot-allow-database allows egress of everybody",
    ),
    "a flow to the metadata server": (
        lambda s: spec(s, FLOW, "coinslot-allow-database")["egress"][0].update(
            to=[{"ipBlock": {"cidr": "169.254.169.254/32"}}]
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-database allows egress of the cloud's",
    ),
    "a flow to the internet by a range of ports": (
        lambda s: spec(s, FLOW, "coinslot-allow-webhooks")["egress"][0]["ports"][0].update(
            endPort=65_535
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-webhooks allows egress by a range",
    ),
    "a flow that is not applied": (
        lambda s: spec(s, FLOW, "coinslot-allow-database").update(policyTypes=["Ingress"]),
        "flows-take-effect: NetworkPolicy coinslot-allow-database has rules for egress",
    ),
    "a name server on the node that nobody declared": (
        lambda s: spec(s, FLOW, "coinslot-allow-dns")["egress"][0]["to"].append(NODE_DNS),
        "flows-have-ends: NetworkPolicy coinslot-allow-dns allows egress of the cloud's metadata",
    ),
    "the metadata server declared as a name server": (
        lambda s: declare_name_server(s, "169.254.169.254"),
        "flows-have-ends: NetworkPolicy coinslot-allow-dns allows egress of the cloud's metadata",
    ),
    "the name server on the node by another port": (
        lambda s: declare_name_server(s, "169.254.20.10", port=80),
        "flows-have-ends: NetworkPolicy coinslot-allow-dns allows egress of the cloud's metadata",
    ),
    "the metadata server by IPv6": (
        lambda s: spec(s, FLOW, "coinslot-allow-cache")["egress"][0].update(
            to=[{"ipBlock": {"cidr": "fd00:ec2::254/128"}}]
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-cache allows egress of the cloud's metadata",
    ),
    "a flow to all of IPv6": (
        lambda s: spec(s, FLOW, "coinslot-allow-cache")["egress"][0].update(
            to=[{"ipBlock": {"cidr": "::/0"}}]
        ),
        "flows-have-ends: NetworkPolicy coinslot-allow-cache allows egress of everybody",
    ),
    "no way to DNS": (
        lambda s: drop(s, FLOW, "coinslot-allow-dns"),
        "names-resolve: Deployment coinslot-api can't reach DNS by UDP",
    ),
    "no way to the database": (
        lambda s: drop(s, FLOW, "coinslot-allow-database"),
        "stores-reachable: Job coinslot-migrate-",
    ),
    "no way to the cache": (
        lambda s: drop(s, FLOW, "coinslot-allow-cache"),
        "stores-reachable: Deployment coinslot-api has REDIS_URL",
    ),
    "no way out for webhooks": (
        lambda s: drop(s, FLOW, "coinslot-allow-webhooks"),
        "merchants-reachable: Deployment coinslot-worker sends webhooks, and no policy",
    ),
    "a way out for the API": (
        lambda s: spec(s, FLOW, "coinslot-allow-webhooks")["podSelector"]["matchExpressions"][0][
            "values"
        ].append("api"),
        "merchants-reachable: Deployment coinslot-api sends no webhooks, and a policy",
    ),
    "a way out to the cloud's metadata": (
        lambda s: spec(s, FLOW, "coinslot-allow-webhooks")["egress"][0]["to"][0]["ipBlock"][
            "except"
        ].remove("169.254.0.0/16"),
        "flows-have-ends: NetworkPolicy coinslot-allow-webhooks allows egress of everybody",
    ),
    "no way in for Prometheus": (
        lambda s: drop(s, FLOW, "coinslot-allow-scrape"),
        "scrape-reaches-pods: Deployment coinslot-worker is monitored",
    ),
    "a Service for the world": (
        lambda s: spec(s, "Service").update(type="LoadBalancer"),
        "services-inside: Service coinslot-api can be reached from outside",
    ),
    "an Ingress without TLS": (
        lambda s: add(
            s, {"apiVersion": "v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {}}
        ),
        "services-inside: Ingress i takes requests without TLS",
    ),
    "a token": (
        lambda s: pod(s).pop("automountServiceAccountToken"),
        "no-token: Deployment coinslot-api carries a token",
    ),
    "a token by a projected volume": (
        lambda s: pod(s)["volumes"].append(TOKEN),
        "no-token: Deployment coinslot-api carries a token",
    ),
    "an account that hands out tokens": (
        lambda s: get(s, "ServiceAccount", WORKER).pop("automountServiceAccountToken"),
        "no-token: ServiceAccount coinslot-worker hands out tokens",
    ),
    "the default account": (
        lambda s: pod(s).update(serviceAccountName="default"),
        "own-account: Deployment coinslot-api uses the default account",
    ),
    "rights": (
        lambda s: add(
            s, {"apiVersion": "v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"}}
        ),
        "no-roles: ClusterRoleBinding b grants rights",
    ),
    "a namespace that takes any pod": (
        lambda s: get(s, "Namespace", "coinslot-staging")["metadata"].update(labels={}),
        "namespace-restricted: Namespace coinslot-staging enforces the pod security standard None",
    ),
    "a namespace that stays behind": (
        lambda s: get(s, "Namespace", "coinslot-staging")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce-version": "v1.0"}
        ),
        "namespace-restricted: Namespace coinslot-staging enforces the pod security standard as it",
    ),
    "a login in a URL": (
        lambda s: container(s)["env"].append({"name": "PROXY_URL", "value": "http://u:p@proxy:1"}),
        "secrets-by-reference: Deployment coinslot-api has PROXY_URL in plain text",
    ),
    "a whole Secret as variables": (
        lambda s: container(s)["envFrom"].append({"secretRef": {"name": "coinslot-secrets"}}),
        "secrets-one-by-one: Deployment coinslot-api is given all of a Secret as variables",
    ),
    "a Secret as files": (
        lambda s: pod(s)["volumes"].append(KEYS),
        "secrets-one-by-one: Deployment coinslot-api is given a Secret as files",
    ),
    "the owner's login by another name": (
        lambda s: container(s)["env"][0].update(valueFrom=OWNER),
        "settings-complete: Deployment coinslot-api is given MIGRATION_DATABASE_URL, which",
    ),
    "a password in plain sight": (
        lambda s: container(s)["env"].append({"name": "SMTP_PASSWORD", "value": "x"}),
        "secrets-by-reference: Deployment coinslot-api has SMTP_PASSWORD in plain text",
    ),
    "a token in a ConfigMap": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(SHOP_TOKEN="x"),
        "secrets-by-reference: ConfigMap coinslot-config holds SHOP_TOKEN in plain text",
    ),
}
