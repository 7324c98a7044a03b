"""Rules about each pod by itself: bounded, probed, given time, told everything."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from infra import labels
from infra.policy.objects import PROBES, Object, Pod, Stack, dig, selects, title
from infra.policy.rules import Problem, rule
from infra.quantities import amount
from infra.service_settings import secrets_of
from service.setting_types import repeated
from service.settings import env_name, fields, secret_fields

FIRST_FREE_PORT: Final = 1_024
"""Ports below need a capability."""
DEFAULT_GRACE_S: Final = 30
SPREAD: Final = {labels.ZONE, labels.HOSTNAME}


@rule("What runs beside the service shares its network and files, and most rules ask the service.")
def one_container(stack: Stack) -> Iterator[Problem]:
    """Run the service alone in its pods."""
    for pod in stack.pods():
        others = [container["name"] for container in pod.containers if container != pod.container]
        if pod.runs_service and others:
            yield pod.owner, f"runs {', '.join(others)} beside the service"


@rule("No server takes a pod that asks for more than its limit, and it says so in mid-rollout.")
def requests_within_limits(stack: Stack) -> Iterator[Problem]:
    """Ask for no more of a resource than may be used."""
    for pod in stack.pods():
        for container in pod.containers:
            resources = container.get("resources", {})
            for name, asked in resources.get("requests", {}).items():
                most = resources.get("limits", {}).get(name, asked)
                if amount(asked) > amount(most):
                    yield pod.owner, f"asks for {asked} of {name}, above its limit {most}"


@rule("A tag that moves makes two pods of one Deployment run different programs.")
def image_fixed(stack: Stack) -> Iterator[Problem]:
    """Name the image's version, and not `latest`."""
    for pod, image in _images(stack):
        _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
        if tag in ("", "latest"):
            yield pod.owner, f"runs {image}, which can change under it"


@rule("A tag can be pushed again; a digest is the bytes that were tested in staging.")
def image_pinned_in_prod(stack: Stack) -> Iterator[Problem]:
    """Name prod's images by digest."""
    for pod, image in _images(stack):
        if stack.name == "prod" and "@sha256:" not in image:
            yield pod.owner, f"runs {image} by its tag alone"


def _images(stack: Stack) -> Iterator[tuple[Pod, str]]:
    for pod in stack.pods():
        for container in pod.containers:
            yield pod, container["image"]


@rule("Without probes a broken pod gets requests, and a hung one is never restarted.")
def probed(stack: Stack) -> Iterator[Problem]:
    """Demand startup, readiness and liveness probes of whatever serves, on ports that it has."""
    for pod in stack.pods():
        if not pod.serves:
            continue
        missing = [name for name in PROBES if name not in pod.container]
        if missing:
            yield pod.owner, f"has no {', '.join(missing)}"
        declared = _ports(pod.container)
        for name in PROBES:
            port = _probed_port(pod.container.get(name, {}))
            if port is not None and port not in declared:
                yield pod.owner, f"has a {name} on port {port}, which it doesn't declare"


@rule("The same question twice: what should only take a pod out of the way would restart it.")
def liveness_differs(stack: Stack) -> Iterator[Problem]:
    """Ask for readiness and for life by different probes, and for life the more patiently."""
    for pod in stack.pods():
        ready = pod.container.get("readinessProbe", {})
        live = pod.container.get("livenessProbe", {})
        if not (ready and live):
            continue
        same_path = "httpGet" in live and live["httpGet"] == ready.get("httpGet")
        if same_path or _patience(live) <= _patience(ready):
            yield pod.owner, "is restarted as soon as it isn't ready"


def _patience(probe: Object) -> int:
    return int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))


def _ports(container: Object) -> set[Any]:
    ports = container.get("ports", ())
    return {p["containerPort"] for p in ports} | {p["name"] for p in ports if "name" in p}


def _probed_port(probe: Object) -> Any:
    for way in ("httpGet", "tcpSocket", "grpc"):
        if way in probe:
            return probe[way]["port"]
    return None


@rule("Pods on one node or in one zone go down together.")
def spread_out(stack: Stack) -> Iterator[Problem]:
    """Spread each revision of a Deployment's pods over nodes by anti-affinity, and over zones."""
    for pod in stack.pods():
        if not pod.serves:
            continue
        terms = {term["topologyKey"]: term for term in _spread(pod)}
        if missing := SPREAD - terms.keys():
            yield pod.owner, f"isn't spread over {', '.join(sorted(missing))}"
        for key, term in terms.items():
            if labels.POD_TEMPLATE_HASH not in term.get("matchLabelKeys", ()):
                yield pod.owner, f"is spread over {key} around the pods that a rollout replaces"


def _spread(pod: Pod) -> list[Any]:
    """Return by what the pod keeps away from others of its kind: each has a topology."""
    wanted = dig(pod.spec, "affinity.podAntiAffinity") or {}
    preferred = wanted.get("preferredDuringSchedulingIgnoredDuringExecution", ())
    apart = [weighted["podAffinityTerm"] for weighted in preferred]
    found = [*pod.spec.get("topologySpreadConstraints", ()), *apart]
    return [term for term in found if selects(term["labelSelector"], pod.labels)]


@rule("Old pods that go before new ones are ready are lost capacity, or an outage.")
def rolls_without_loss(stack: Stack) -> Iterator[Problem]:
    """Start new pods before old ones go, wait for them, and give up in the end."""
    for deployment in stack.of("Deployment"):
        spec = deployment["spec"]
        strategy = spec.get("strategy", {})
        rolling = strategy.get("rollingUpdate", {})
        if spec.get("paused"):
            yield title(deployment), "is paused, so no change ever reaches its pods"
        if strategy.get("type") != "RollingUpdate" or rolling.get("maxUnavailable") != 0:
            yield title(deployment), "takes pods away before others are ready"
        for field in ("minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit"):
            if not spec.get(field):
                yield title(deployment), f"has no {field}"


@rule("A payment that is cut off in flight is an unknown outcome.")
def time_to_drain(stack: Stack) -> Iterator[Problem]:
    """Let the kubelet wait longer than the hook and the service's own drain together."""
    for pod in stack.pods():
        if not pod.runs_service:
            continue
        hook = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
        needed = hook.get("seconds", 0) + float(stack.settings(pod).get("SHUTDOWN_DRAIN_S", 0))
        grace = pod.spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
        if grace <= needed:
            yield pod.owner, f"is killed after {grace} s and needs {needed:g} s to stop"
        if pod.container.get("ports") and not hook:
            yield pod.owner, "stops while requests still arrive: it has no preStop hook"


@rule("A setting that is missing is found at the start of the pod, in the middle of a rollout.")
def settings_complete(stack: Stack) -> Iterator[Problem]:
    """Give every setting of the service a value, and a role its own secrets from a Secret."""
    secret = {env_name(name) for name in secret_fields()}
    plain = {env_name(name) for name in fields()} - secret
    for pod in stack.pods():
        if not pod.runs_service:
            continue
        values = stack.settings(pod)
        variables = {variable["name"]: variable for variable in pod.container.get("env", ())}
        for name in sorted(plain - values.keys() - variables.keys()):
            yield pod.owner, f"is not told {name}"
        own = secrets_of(pod.role, values)
        for name in sorted(secret):
            if name in values or "value" in variables.get(name, {}):
                yield pod.owner, f"has the secret {name} in plain text"
            elif name not in own:
                if name in variables or name in _keys(variables.values()):
                    yield pod.owner, f"is given {name}, which {pod.component} has no use for"
            elif name not in variables:
                yield pod.owner, f"is not given {name}"


def _keys(variables: Iterable[Object]) -> set[str]:
    """Return the keys of Secrets that these variables are taken from, whatever they are called."""
    found = (dig(variable, "valueFrom.secretKeyRef.key") for variable in variables)
    return {key for key in found if key}


@rule("Of two values of one variable the last wins, and nobody sees which one was meant.")
def variables_once(stack: Stack) -> Iterator[Problem]:
    """Give each environment variable one value."""
    for pod in stack.pods():
        names = [variable["name"] for variable in pod.container.get("env", ())]
        names += stack.settings(pod)
        for name in repeated(names):
            yield pod.owner, f"is given {name} twice"


@rule(
    "A low port needs a capability, 22 is a shell, and a port without a name can't be referred to."
)
def ports_plain(stack: Stack) -> Iterator[Problem]:
    """Listen on named ports from 1024 on."""
    for pod in stack.pods():
        for container in pod.containers:
            for port in container.get("ports", ()):
                if port["containerPort"] < FIRST_FREE_PORT or not port.get("name"):
                    yield pod.owner, f"has port {port['containerPort']} below 1024 or nameless"


@rule("A Job that hangs or fails for ever keeps the rollout waiting.")
def jobs_end(stack: Stack) -> Iterator[Problem]:
    """Bound a Job's tries and its time, and start no container of it again."""
    for job in stack.of("Job"):
        spec = job["spec"]
        for field in ("backoffLimit", "activeDeadlineSeconds"):
            if field not in spec:
                yield title(job), f"has no {field}"
        if spec["template"]["spec"].get("restartPolicy") != "Never":
            yield title(job), "restarts a container that has failed, and its log is lost"


@rule("Finished Jobs pile up and make the API server slow.", "advisory")
def jobs_expire(stack: Stack) -> Iterator[Problem]:
    """Remove a finished Job by its time to live."""
    for job in stack.of("Job"):
        if "ttlSecondsAfterFinished" not in job["spec"]:
            yield title(job), "stays after it has finished"


@rule("When a node is full, what takes payments must be the last to go.")
def priority_in_prod(stack: Stack) -> Iterator[Problem]:
    """Give prod's pods a priority class."""
    for pod in stack.pods():
        if stack.name == "prod" and not pod.spec.get("priorityClassName"):
            yield pod.owner, "has no priority class"


@rule("A pod that starts again, or a revision that comes back, finds what it was released with.")
def configuration_kept(stack: Stack) -> Iterator[Problem]:
    """Name what pods are configured by for its content, and let it never change."""
    for pod in stack.pods():
        for source in pod.container.get("envFrom", ()):
            config = stack.named("ConfigMap", dig(source, "configMapRef.name") or "")
            if config is None or not pod.runs_service:
                continue
            connections = dig(config, "metadata.annotations") or {}
            wanted = labels.config_name(
                config["data"], connections.get(labels.DATABASE_CONNECTIONS, "")
            )
            if config["metadata"]["name"] != wanted:
                yield pod.owner, f"is configured by {title(config)}, and its content is {wanted}"
            if config.get("immutable") is not True:
                yield pod.owner, f"is configured by {title(config)}, which can change under it"


@rule("Without a checksum a pod runs on with settings that are no longer anybody's.")
def configuration_rolls_pods(stack: Stack) -> Iterator[Problem]:
    """Mark pods with the checksum of the configuration that they run with."""
    for pod in stack.pods():
        settings = stack.settings(pod)
        mark = pod.annotations.get(labels.CONFIG_CHECKSUM)
        if pod.serves and settings and mark != labels.checksum(settings):
            yield pod.owner, f"is marked {mark}, and its settings are {labels.checksum(settings)}"
