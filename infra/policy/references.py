"""Rules about objects that name or select each other."""

from collections.abc import Iterator

from infra.policy.objects import Object, Stack, selects, title


def selectors_select(stack: Stack) -> Iterator[str]:
    """Let every selector find a pod, and a Deployment its own."""
    every_pod = [pod.labels for pod in stack.pods()]
    for obj, selector in _selectors(stack):
        if not any(selects(selector, found) for found in every_pod):
            yield f"{title(obj)} selects no pod"
    for deployment in stack.of("Deployment"):
        spec = deployment["spec"]
        if not selects(spec["selector"], spec["template"]["metadata"]["labels"]):
            yield f"{title(deployment)} doesn't select its own pods"


def _selectors(stack: Stack) -> Iterator[tuple[Object, Object]]:
    for service in stack.of("Service"):
        yield service, service["spec"]["selector"]
    for budget in stack.of("PodDisruptionBudget"):
        yield budget, budget["spec"]["selector"]
    for policy in stack.of("NetworkPolicy"):
        yield policy, policy["spec"]["podSelector"]


def monitored_ports_exist(stack: Stack) -> Iterator[str]:
    """Follow a ServiceMonitor to a Service, to its port, and to a pod that listens on it."""
    for monitor in stack.of("ServiceMonitor"):
        services = [
            service
            for service in stack.of("Service")
            if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        ]
        if not services:
            yield f"{title(monitor)} finds no Service"
        for endpoint in monitor["spec"]["endpoints"]:
            for service in services:
                yield from _port_problems(stack, service, endpoint["port"])


def _port_problems(stack: Stack, service: Object, name: str) -> Iterator[str]:
    ports = [port for port in service["spec"]["ports"] if port["name"] == name]
    if not ports:
        yield f"{title(service)} has no port {name}, which is scraped"
    for port in ports:
        for pod in stack.pods():
            listens = {found.get("name") for found in pod.container.get("ports", ())}
            if selects(service["spec"]["selector"], pod.labels) and (
                port["targetPort"] not in listens
            ):
                yield f"{pod.owner} has no port {port['targetPort']}, which {title(service)} uses"


def named_objects_exist(stack: Stack) -> Iterator[str]:
    """Find every ConfigMap and ServiceAccount that a pod names."""
    for pod in stack.pods():
        names = [("ServiceAccount", pod.spec["serviceAccountName"])]
        names += [
            ("ConfigMap", source["configMapRef"]["name"])
            for source in pod.container.get("envFrom", ())
            if "configMapRef" in source
        ]
        for kind, name in names:
            if stack.named(kind, name) is None:
                yield f"{pod.owner} names {kind} {name}, which is not there"


def namespace_explicit(stack: Stack) -> Iterator[str]:
    """Place every object in the stack's one namespace, explicitly."""
    namespaces = {obj["metadata"]["name"] for obj in stack.of("Namespace")}
    for obj in stack.objects:
        place = obj["metadata"].get("namespace")
        if obj["kind"] != "Namespace" and place not in namespaces:
            yield f"{title(obj)} is in namespace {place}, not in {', '.join(sorted(namespaces))}"
