"""The rules across objects: every stack keeps them, and a broken example of each is caught."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra import policy
from infra.config import STACKS
from infra.policy.objects import Stack, load
from tests.infra.program import ROOT

Break = Callable[[Stack], None]
API, WORKER, CONFIG = "coinslot-api", "coinslot-worker", "coinslot-config"


def rendered(stack: str) -> Stack:
    """Return the committed manifests; another test compares them with what the engine renders."""
    return load(ROOT / "infra" / "rendered" / stack)


def get(stack: Stack, kind: str, name: str) -> Any:
    found = stack.named(kind, name)
    assert found is not None, f"{kind} {name}"
    return found


def pod(stack: Stack, name: str = API) -> Any:
    return get(stack, "Deployment", name)["spec"]["template"]["spec"]


def container(stack: Stack, name: str = API) -> Any:
    return pod(stack, name)["containers"][0]


def drop(stack: Stack, kind: str, name: str) -> None:
    stack.objects.remove(get(stack, kind, name))  # type: ignore[attr-defined]


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_keeps_every_rule(stack: str) -> None:
    assert policy.violations(rendered(stack)) == []


BREAKS: dict[str, tuple[Break, str]] = {
    "a budget as large as the smallest scale": (
        lambda s: get(s, "PodDisruptionBudget", API)["spec"].update(minAvailable=3),
        "budget_below_minimum: PodDisruptionBudget coinslot-api keeps 3 pods",
    ),
    "a budget that broken pods can hold": (
        lambda s: get(s, "PodDisruptionBudget", API)["spec"].pop("unhealthyPodEvictionPolicy"),
        "budget_below_minimum: PodDisruptionBudget coinslot-api lets broken pods",
    ),
    "replicas under an autoscaler": (
        lambda s: get(s, "Deployment", API)["spec"].update(replicas=3),
        "replicas_left_to_autoscaler: Deployment coinslot-api sets replicas",
    ),
    "an autoscaler of nothing": (
        lambda s: drop(s, "Deployment", API),
        "replicas_left_to_autoscaler: HorizontalPodAutoscaler coinslot-api scales",
    ),
    "pools that outgrow the database": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(DB_POOL_SIZE="18"),
        "connections_fit: 28 pods with 18 connections and 1 migration need 505; the database has",
    ),
    "no default denial": (
        lambda s: drop(s, "NetworkPolicy", "coinslot-deny-all"),
        "denied_by_default: Deployment coinslot-api: Egress, Ingress is not denied",
    ),
    "no way to DNS": (
        lambda s: drop(s, "NetworkPolicy", "coinslot-allow-dns"),
        "names_resolve: Deployment coinslot-api can't reach DNS by UDP",
    ),
    "no way to the database": (
        lambda s: drop(s, "NetworkPolicy", "coinslot-allow-database"),
        "database_reachable: Job coinslot-migrate-",
    ),
    "a service on a closed port": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(LIBRARY_URL="https://lib.example"),
        "services_reachable: Deployment coinslot-worker calls LIBRARY_URL on port 443",
    ),
    "a provider in use on a closed port": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(PROVIDERS="simulator,stripe"),
        "services_reachable: Deployment coinslot-api calls STRIPE_URL on port 443",
    ),
    "no way in for Prometheus": (
        lambda s: drop(s, "NetworkPolicy", "coinslot-allow-scrape"),
        "scrape_reaches_pods: Deployment coinslot-worker is monitored",
    ),
    "a writable root": (
        lambda s: container(s)["securityContext"].pop("readOnlyRootFilesystem"),
        "locked_down: Deployment coinslot-api: the root filesystem is writable",
    ),
    "a pod that may be root": (
        lambda s: container(s)["securityContext"].pop("runAsUser"),
        "locked_down: Deployment coinslot-api: it may run as root",
    ),
    "a capability": (
        lambda s: container(s)["securityContext"]["capabilities"].update(drop=["NET_RAW"]),
        "locked_down: Deployment coinslot-api: capabilities are left",
    ),
    "growing privileges": (
        lambda s: container(s)["securityContext"].update(allowPrivilegeEscalation=True),
        "locked_down: Deployment coinslot-api: privileges can grow",
    ),
    "unfiltered system calls": (
        lambda s: container(s)["securityContext"].pop("seccompProfile"),
        "locked_down: Deployment coinslot-api: system calls are not filtered",
    ),
    "a token": (
        lambda s: pod(s).pop("automountServiceAccountToken"),
        "locked_down: Deployment coinslot-api: it carries a token",
    ),
    "the default account": (
        lambda s: pod(s).update(serviceAccountName="default"),
        "locked_down: Deployment coinslot-api: it uses the default account",
    ),
    "no limit of storage": (
        lambda s: container(s)["resources"]["limits"].pop("ephemeral-storage"),
        "bounded: Deployment coinslot-api has no limits of ephemeral-storage",
    ),
    "an image that moves": (
        lambda s: container(s, WORKER).update(image="ghcr.io/coinslot/coinslot:latest"),
        "bounded: Deployment coinslot-worker runs ghcr.io/coinslot/coinslot:latest",
    ),
    "too little time to drain": (
        lambda s: pod(s).update(terminationGracePeriodSeconds=25),
        "time_to_drain: Deployment coinslot-api is killed after 25 s and needs 25 s",
    ),
    "no hook before the stop": (
        lambda s: container(s).pop("lifecycle"),
        "time_to_drain: Deployment coinslot-api stops while requests still arrive",
    ),
    "a setting that nobody gives": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].pop("JWT_ISSUER"),
        "settings_complete: Job coinslot-migrate-",
    ),
    "a secret in a ConfigMap": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(JWT_SECRET="x"),
        "settings_complete: Deployment coinslot-api has the secret JWT_SECRET in plain text",
    ),
    "a secret that nobody gives": (
        lambda s: container(s)["env"].pop(0),
        "settings_complete: Deployment coinslot-api is not given DATABASE_URL",
    ),
    "a Service of nobody": (
        lambda s: get(s, "Service", API)["spec"]["selector"].update(tier="gone"),
        "selectors_select: Service coinslot-api selects no pod",
    ),
    "a Deployment of other pods": (
        lambda s: get(s, "Deployment", API)["spec"]["selector"]["matchLabels"].update(a="b"),
        "selectors_select: Deployment coinslot-api doesn't select its own pods",
    ),
    "a monitor of nothing": (
        lambda s: get(s, "ServiceMonitor", "coinslot")["spec"].update(
            selector={"matchLabels": {"a": "b"}}
        ),
        "monitored_ports_exist: ServiceMonitor coinslot finds no Service",
    ),
    "a monitored port that no Service has": (
        lambda s: get(s, "ServiceMonitor", "coinslot")["spec"]["endpoints"][0].update(port="ops"),
        "monitored_ports_exist: Service coinslot-api has no port ops",
    ),
    "a Service's port that no pod has": (
        lambda s: container(s)["ports"][0].update(name="web"),
        "monitored_ports_exist: Deployment coinslot-api has no port http",
    ),
    "an account that is not there": (
        lambda s: drop(s, "ServiceAccount", API),
        "named_objects_exist: Deployment coinslot-api names ServiceAccount coinslot-api",
    ),
    "an object in another namespace": (
        lambda s: get(s, "Service", API)["metadata"].update(namespace="default"),
        "namespace_explicit: Service coinslot-api is in namespace default",
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_example_is_caught(case: str) -> None:
    damage, said = BREAKS[case]
    stack = Stack(copy.deepcopy(list(rendered("staging").objects)))
    damage(stack)

    found = policy.violations(stack)
    assert any(problem.startswith(said) for problem in found), found


def test_every_rule_has_a_broken_example() -> None:
    proved = {said.partition(":")[0] for _, said in BREAKS.values()}

    assert proved == {rule.__name__ for rule in policy.RULES}


def test_an_empty_folder_is_an_error_and_no_success(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError, match="make render"):
        load(tmp_path)
