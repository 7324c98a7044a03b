"""Rules about objects that name or select each other, and about names themselves."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import yaml

from infra import labels
from infra.policy.objects import Pod, Stack, selects, title
from infra.policy.rules import Problem, rule

LABELS: Final = (labels.NAME, labels.INSTANCE, labels.MANAGED_BY)


@rule("Pods of two Deployments behind one selector are counted, ended and called as one.")
def selectors_apart(stack: Stack) -> Iterator[Problem]:
    """Let a Deployment, a Service and a budget select the pods of one owner."""
    for obj in stack.of("Deployment", "StatefulSet", "Service", "PodDisruptionBudget"):
        owners = {pod.owner for pod in stack.selected(obj["spec"]["selector"])}
        if len(owners) > 1:
            yield title(obj), f"selects the pods of {', '.join(sorted(owners))}"


@rule("A Service whose port no pod has answers nobody.")
def service_ports_exist(stack: Stack) -> Iterator[Problem]:
    """Find every Service's port at the pods that it selects."""
    for service in stack.of("Service"):
        for port in service["spec"]["ports"]:
            for pod in stack.selected(service["spec"]["selector"]):
                target = port.get("targetPort", port["port"])
                if target not in _listens(pod):
                    yield pod.owner, f"has no port {target}, which {title(service)} uses"


def _listens(pod: Pod) -> set[Any]:
    ports = pod.container.get("ports", ())
    return {found.get("name") for found in ports} | {found["containerPort"] for found in ports}


@rule("A monitor of nothing is silent, and silence looks like health.")
def monitored_ports_exist(stack: Stack) -> Iterator[Problem]:
    """Follow a ServiceMonitor to a Service and to the port that it scrapes."""
    for monitor in stack.of("ServiceMonitor"):
        services = [
            service
            for service in stack.of("Service")
            if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        ]
        if not services:
            yield title(monitor), "finds no Service"
        for endpoint in monitor["spec"]["endpoints"]:
            for service in services:
                names = {port.get("name") for port in service["spec"]["ports"]}
                if endpoint["port"] not in names:
                    yield title(service), f"has no port {endpoint['port']}, which is scraped"


@rule("An autoscaler that can't read its metric neither grows nor shrinks.")
def scaled_metric_served(stack: Stack) -> Iterator[Problem]:
    """Serve every metric of the pods that an autoscaler uses by a rule of prometheus-adapter."""
    served = {rule["name"]["as"] for rule in _adapter_rules(stack)}
    for scaler in stack.of("HorizontalPodAutoscaler"):
        for metric in scaler["spec"].get("metrics", ()):
            name = metric.get("pods", {}).get("metric", {}).get("name")
            if name and name not in served:
                yield title(scaler), f"scales by {name}, which no rule of the adapter serves"


def _adapter_rules(stack: Stack) -> Iterator[Any]:
    for config in stack.of("ConfigMap"):
        if labels.ADAPTER_RULES in config["metadata"].get("labels", {}):
            yield from yaml.safe_load(config["data"][labels.ADAPTER_FILE])["rules"]


@rule("A pod that names what is not there never starts.")
def named_objects_exist(stack: Stack) -> Iterator[Problem]:
    """Find every ConfigMap, ServiceAccount and priority of a mount that a pod names."""
    for pod in stack.pods():
        for kind, name in _named(pod):
            if stack.named(kind, name) is None:
                yield pod.owner, f"names {kind} {name}, which is not there"


def _named(pod: Pod) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", pod.spec.get("serviceAccountName", "default")
    for source in pod.container.get("envFrom", ()):
        if "configMapRef" in source:
            yield "ConfigMap", source["configMapRef"]["name"]
    for volume in pod.spec.get("volumes", ()):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]


@rule("Where no namespace is named, whoever applies the file decides, by accident.")
def namespace_explicit(stack: Stack) -> Iterator[Problem]:
    """Place every object in the stack's one namespace, explicitly."""
    namespaces = {obj["metadata"]["name"] for obj in stack.of("Namespace")}
    for obj in stack.objects:
        place = obj["metadata"].get("namespace")
        if obj["kind"] != "Namespace" and place not in namespaces:
            yield title(obj), f"is in namespace {place}, not in {', '.join(sorted(namespaces))}"


@rule("Of two objects with one name the second overwrites the first.")
def names_unique(stack: Stack) -> Iterator[Problem]:
    """Name each object of a kind once."""
    for name, count in Counter(title(obj) for obj in stack.objects).items():
        if count > 1:
            yield name, f"is there {count} times"


@rule("By labels people and tools find what belongs together, also in an emergency.", "advisory")
def labelled(stack: Stack) -> Iterator[Problem]:
    """Put name, instance and managed-by on every object, component and version on pods."""
    for obj in stack.objects:
        missing = [key for key in LABELS if not obj["metadata"].get("labels", {}).get(key)]
        if missing:
            yield title(obj), f"has no label {', '.join(missing)}"
    for pod in stack.pods():
        missing = [key for key in (*LABELS, labels.COMPONENT) if not pod.labels.get(key)]
        if missing:
            yield pod.owner, f"has pods without label {', '.join(missing)}"


@rule("Without its label a dashboard is a ConfigMap that nobody shows.")
def dashboards_found(stack: Stack) -> Iterator[Problem]:
    """Let Grafana's sidecar find every dashboard."""
    for config in stack.of("ConfigMap"):
        is_dashboard = any('"schemaVersion"' in text for text in config.get("data", {}).values())
        if is_dashboard and labels.DASHBOARD not in config["metadata"].get("labels", {}):
            yield title(config), f"is a dashboard without the label {labels.DASHBOARD}"
