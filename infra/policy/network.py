"""Rules about flows: everything is denied, and what the pods need is let through, no more."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from infra import labels, ranges
from infra.policy.objects import PROBES, Object, Pod, Stack, dig, selects, title
from infra.policy.rules import Problem, rule

DNS_PORT: Final = 53
DNS_FLOW: Final = labels.resource_name("allow-dns")
DATABASE_FLOW: Final = labels.resource_name("allow-database")
CACHE_FLOW: Final = labels.resource_name("allow-cache")
WEBHOOKS_FLOW: Final = labels.resource_name("allow-webhooks")
SCRAPE_FLOW: Final = labels.resource_name("allow-scrape")
OPS_PORTS: Final = {labels.OPS_PORT_NAME, labels.OPS_PORT}
"""The operations port by its name and by its number."""
BOTH: Final = {"Ingress", "Egress"}
PEER_KEYS: Final = {"ingress": "from", "egress": "to"}
HTTPS_PORT: Final = 443


@rule("What is not denied is open: an intruder's first step is to look around.")
def denied_by_default(stack: Stack) -> Iterator[Problem]:
    """Demand a policy without rules over every pod, in both directions."""
    for pod in stack.pods():
        denied: set[str] = set()
        for policy in _policies(stack, pod):
            spec = policy["spec"]
            if not spec.get("podSelector") and not (spec.get("ingress") or spec.get("egress")):
                denied |= set(spec["policyTypes"])
        if denied != BOTH:
            yield pod.owner, f"can be reached or reach out: {_listed(BOTH - denied)} is not denied"


@rule("A rule without an end is a hole with a name.")
def flows_have_ends(stack: Stack) -> Iterator[Problem]:
    """Give every allowed flow its peers and its ports; the internet only by 443, and outwards."""
    for policy in stack.of("NetworkPolicy"):
        for direction, peer_key in PEER_KEYS.items():
            for allowed in policy["spec"].get(direction, ()):
                peers, ports = allowed.get(peer_key, ()), allowed.get("ports", ())
                if not (peers and ports):
                    yield title(policy), f"allows {direction} without naming peers and ports"
                if any("port" not in port or "endPort" in port for port in ports):
                    yield title(policy), f"allows {direction} by a range of ports"
                safe = direction == "egress" and all(p.get("port") == HTTPS_PORT for p in ports)
                near = [peer for peer in peers if not (safe and _is_internet(peer))]
                if any(map(_is_everybody, near)) or ranges.too_many(_blocks(near)):
                    yield title(policy), f"allows {direction} of everybody"
                declared = _name_servers(policy) if _asks_names(direction, ports) else ()
                if any(_is_metadata_server(peer, declared) for peer in near):
                    yield title(policy), f"allows {direction} of the cloud's metadata server"


def _is_everybody(peer: Mapping[str, Any]) -> bool:
    if "ipBlock" in peer:
        return ranges.too_wide(ranges.parsed(peer["ipBlock"]["cidr"]))
    if "namespaceSelector" in peer:
        return not narrows(peer["namespaceSelector"])
    return not narrows(peer.get("podSelector"))


def narrows(selector: Mapping[str, Any] | None) -> bool:
    """Say whether a selector names what it selects; Exists and NotIn name everything else."""
    expressions = (selector or {}).get("matchExpressions") or ()
    return bool((selector or {}).get("matchLabels")) or any(
        expression["operator"] == "In" for expression in expressions
    )


def _blocks(peers: Sequence[Mapping[str, Any]]) -> list[ranges.Network]:
    return [ranges.parsed(peer["ipBlock"]["cidr"]) for peer in peers if "ipBlock" in peer]


def _asks_names(direction: str, ports: Sequence[Mapping[str, Any]]) -> bool:
    return direction == "egress" and all(port.get("port") == DNS_PORT for port in ports)


def _name_servers(policy: Object) -> list[ranges.Network]:
    """Return the addresses that the policy for DNS declares, as far as a name server has them."""
    if policy["metadata"]["name"] != DNS_FLOW:
        return []
    declared = policy["metadata"].get("annotations", {}).get(labels.NAME_SERVERS, "")
    found = [ranges.parsed(address) for address in declared.split(",") if address]
    return [address for address in found if ranges.is_name_server(address)]


def _is_metadata_server(peer: Mapping[str, Any], declared: Sequence[ranges.Network]) -> bool:
    block = peer.get("ipBlock")
    if not block or str(ranges.LINK_LOCAL) in (block.get("except") or ()):
        return False
    there = ranges.parsed(block["cidr"])
    return there not in declared and ranges.holds_metadata(there)


def _is_internet(peer: Mapping[str, Any]) -> bool:
    spared, cidr = (
        set(peer.get("ipBlock", {}).get("except", ())),
        peer.get("ipBlock", {}).get("cidr"),
    )
    return any(cidr == whole and spared >= set(but) for whole, but in labels.INTERNET.values())


@rule("Rules of a direction that the policy's types leave out are not applied, and nobody says so.")
def flows_take_effect(stack: Stack) -> Iterator[Problem]:
    """Name a direction in a policy's types if it has rules for it."""
    for policy in stack.of("NetworkPolicy"):
        spec = policy["spec"]
        for direction in PEER_KEYS:
            if spec.get(direction) and direction.capitalize() not in spec.get("policyTypes", ()):
                yield title(policy), f"has rules for {direction}, and its policyTypes leave it out"


@rule("A pod that can't resolve names can do nothing, and says so only at run time.")
def names_resolve(stack: Stack) -> Iterator[Problem]:
    """Let every pod of the service reach the cluster's DNS, by UDP and by TCP."""
    for pod in stack.pods():
        open_ports = {(port["protocol"], port["port"]) for port in _ports(stack, pod, "egress")}
        for protocol in ("UDP", "TCP"):
            if pod.runs_service and (protocol, DNS_PORT) not in open_ports:
                yield pod.owner, f"can't reach DNS by {protocol}"


@rule("The default is denial, so what is used must be let through.")
def stores_reachable(stack: Stack) -> Iterator[Problem]:
    """Let every pod that has the database's or the cache's URL through to it."""
    flows = (("DATABASE_URL", DATABASE_FLOW, True), ("REDIS_URL", CACHE_FLOW, False))
    for pod in stack.pods():
        variables = {variable["name"] for variable in pod.container.get("env", ())}
        open_flows = {policy["metadata"]["name"] for policy in _policies(stack, pod)}
        for variable, flow, by_all in flows:
            needed = variable in variables and (by_all or pod.serves)
            if needed and flow not in open_flows:
                yield pod.owner, f"has {variable}, and {flow} doesn't let it through"


@rule("A merchant who is never told finds out from a buyer.")
def merchants_reachable(stack: Stack) -> Iterator[Problem]:
    """Let workers out to the internet for webhooks, and give nobody else that flow."""
    for pod in stack.pods():
        flows = {policy["metadata"]["name"] for policy in _policies(stack, pod)}
        sends = pod.labels.get(labels.COMPONENT) == labels.WORKER
        if sends and WEBHOOKS_FLOW not in flows:
            yield pod.owner, "sends webhooks, and no policy lets them out"
        if WEBHOOKS_FLOW in flows and not sends:
            yield pod.owner, "sends no webhooks, and a policy would let them out"


@rule("A target that can't be scraped is a service without alerts.")
def scrape_reaches_pods(stack: Stack) -> Iterator[Problem]:
    """Let Prometheus through to every pod that a ServiceMonitor leads it to."""
    for monitor in stack.of("ServiceMonitor"):
        for service in stack.of("Service"):
            if not selects(monitor["spec"]["selector"], service["metadata"]["labels"]):
                continue
            for pod in stack.selected(service["spec"]["selector"]):
                if labels.OPS_PORT_NAME not in _let_in(stack, pod, SCRAPE_FLOW):
                    yield pod.owner, "is monitored, and no policy lets the scrape through"


@rule("Metrics tell a stranger what a shop sells, what it runs on, and what to break next.")
def operations_apart(stack: Stack) -> Iterator[Problem]:
    """Let Prometheus alone through to the operations port, scrape it there, and probe there."""
    for pod in stack.pods():
        if not (pod.runs_service and pod.serves):
            continue
        for policy in _policies(stack, pod):
            flow = policy["metadata"]["name"]
            if flow != SCRAPE_FLOW and _let_in(stack, pod, flow) & OPS_PORTS:
                yield title(policy), f"leads to the operations port of {pod.owner}"
        if others := _let_in(stack, pod, SCRAPE_FLOW) - OPS_PORTS:
            yield pod.owner, f"lets Prometheus in by {_listed({str(port) for port in others})} too"
        for probe in PROBES:
            port = dig(pod.container, f"{probe}.httpGet.port")
            if port is not None and port not in OPS_PORTS:
                yield pod.owner, f"has a {probe} on port {port}, which is the public one"


def _let_in(stack: Stack, pod: Pod, flow: str) -> set[str | int]:
    """Return the ports by which a flow leads to a pod."""
    policies = (p for p in _policies(stack, pod) if p["metadata"]["name"] == flow)
    allowed = (rule for policy in policies for rule in policy["spec"].get("ingress", ()))
    return {port["port"] for rule in allowed for port in rule.get("ports", ())}


@rule("The API is reached through the ingress, which has TLS and knows the client's address.")
def services_inside(stack: Stack) -> Iterator[Problem]:
    """Keep every Service inside the cluster, and an Ingress behind TLS."""
    for service in stack.of("Service"):
        spec = service["spec"]
        if spec.get("type") != "ClusterIP" or spec.get("externalIPs"):
            yield title(service), "can be reached from outside of the cluster"
    for ingress in stack.of("Ingress"):
        if not ingress["spec"].get("tls"):
            yield title(ingress), "takes requests without TLS"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _policies(stack: Stack, pod: Pod) -> Iterator[Object]:
    for policy in stack.of("NetworkPolicy"):
        if "podSelector" not in policy["spec"]:
            raise ValueError(f"{title(policy)} has no podSelector")
        if selects(policy["spec"]["podSelector"], pod.labels):
            yield policy


def _ports(stack: Stack, pod: Pod, direction: str, *, but: str = "") -> Iterator[Object]:
    for policy in _policies(stack, pod):
        if policy["metadata"]["name"] == but:
            continue
        for allowed in policy["spec"].get(direction, ()):
            yield from allowed.get("ports", ())
