"""Rules about flows: everything is denied, and what the pods need is let through."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from infra import labels
from infra.policy.objects import Object, Pod, Stack, selects, title
from service.settings import PROVIDERS

DNS_PORT = 53
DATABASE_FLOW = labels.resource_name("allow-database")
DEFAULT_PORTS = {"http": 80, "https": 443}
BOTH = {"Ingress", "Egress"}


def denied_by_default(stack: Stack) -> Iterator[str]:
    """Demand a policy without rules over every pod, in both directions."""
    for pod in stack.pods():
        denied: set[str] = set()
        for policy in _policies(stack, pod):
            spec = policy["spec"]
            if not spec.get("podSelector") and not (spec.get("ingress") or spec.get("egress")):
                denied |= set(spec["policyTypes"])
        if denied != BOTH:
            yield f"{pod.owner}: {', '.join(sorted(BOTH - denied))} is not denied by default"


def names_resolve(stack: Stack) -> Iterator[str]:
    """Let every pod reach the cluster's DNS, by UDP and by TCP."""
    for pod in stack.pods():
        open_ports = {
            (port["protocol"], port["port"])
            for rule in _rules(stack, pod, "egress")
            for port in rule.get("ports", ())
        }
        for protocol in ("UDP", "TCP"):
            if (protocol, DNS_PORT) not in open_ports:
                yield f"{pod.owner} can't reach DNS by {protocol}"


def database_reachable(stack: Stack) -> Iterator[str]:
    """Let every pod that has the database's URL through to the database."""
    for pod in stack.pods():
        variables = {variable["name"] for variable in pod.container.get("env", ())}
        flows = {policy["metadata"]["name"] for policy in _policies(stack, pod)}
        if "DATABASE_URL" in variables and DATABASE_FLOW not in flows:
            yield f"{pod.owner} uses the database, and no policy lets it through"


def services_reachable(stack: Stack) -> Iterator[str]:
    """Let every pod through to the ports that its settings name in URLs."""
    for pod in stack.pods():
        open_ports = {
            port["port"] for rule in _rules(stack, pod, "egress") for port in rule.get("ports", ())
        }
        for name, port in sorted(_called_ports(stack.settings(pod)).items()):
            if pod.container.get("ports") and port not in open_ports:
                yield f"{pod.owner} calls {name} on port {port}, and no policy lets it through"


def _called_ports(settings: Mapping[str, str]) -> dict[str, int]:
    """Return the ports of the URLs that the service itself calls, by their settings' names.

    A provider that is not in use is not called, and a return URL is for the buyer's browser.
    """
    unused = set(PROVIDERS) - set(settings.get("PROVIDERS", "").split(","))
    ports: dict[str, int] = {}
    for name, value in settings.items():
        owner = name.partition("_")[0].lower()
        if name.endswith("_URL") and not name.endswith("_RETURN_URL") and owner not in unused:
            url = urlsplit(value)
            ports[name] = url.port or DEFAULT_PORTS[url.scheme]
    return ports


def scrape_reaches_pods(stack: Stack) -> Iterator[str]:
    """Let Prometheus through to every pod that a ServiceMonitor leads it to."""
    for monitor in stack.of("ServiceMonitor"):
        for service in stack.of("Service"):
            if not selects(monitor["spec"]["selector"], service["metadata"]["labels"]):
                continue
            for pod in stack.pods():
                if selects(service["spec"]["selector"], pod.labels) and not _scraped(stack, pod):
                    yield f"{pod.owner} is monitored, and no policy lets the scrape through"


def _scraped(stack: Stack, pod: Pod) -> bool:
    policy = labels.resource_name("allow-scrape")
    return any(found["metadata"]["name"] == policy for found in _policies(stack, pod))


def _policies(stack: Stack, pod: Pod) -> Iterator[Object]:
    for policy in stack.of("NetworkPolicy"):
        if "podSelector" not in policy["spec"]:
            raise ValueError(f"{title(policy)} has no podSelector")
        if selects(policy["spec"]["podSelector"], pod.labels):
            yield policy


def _rules(stack: Stack, pod: Pod, direction: str) -> Iterator[Object]:
    for policy in _policies(stack, pod):
        yield from policy["spec"].get(direction, ())
