"""What the Pulumi program asks for, seen without an engine."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pulumi
import pytest
import yaml

import infra.components
from infra import labels, policy, service_settings
from infra.policy.objects import Stack
from infra.render_provider.wire import SECRET_SIGNATURE, SIGNATURE_KEY
from infra.stacks import STACKS
from service.metric_catalog import ACTIVE_PAYMENTS
from service.secret_use import Role
from tests.infra.program import (
    MIGRATIONS,
    ROOT,
    Registered,
    config,
    container_of,
    one,
    raw_config,
    run,
)

SECRET_VALUES = dict.fromkeys(config("prod").needed_secrets, "s3cr3t-" * 6)
IMAGE = {"repository": "ghcr.io/a/b", "tag": "9", "digest": f"sha256:{'0' * 64}"}


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_is_inside_a_component(stack: str) -> None:
    resources, _ = run(config(stack))

    top = [r.type for r in resources if r.parents in ([], ["pulumi:pulumi:Stack"])]
    assert top == ["coinslot:k8s:Platform"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_is_made_by_a_component_of_ours(stack: str) -> None:
    resources, _ = run(config(stack))

    for resource in resources:
        if resource.type.startswith("kubernetes:"):
            assert resource.parents[-1].startswith("coinslot:k8s:"), resource.urn


def test_objects_are_made_nowhere_but_in_the_components() -> None:
    """A constructor of the SDK anywhere else would be an object outside of a component."""
    makers = {
        path.relative_to(ROOT).parent.as_posix()
        for path in (ROOT / "infra").rglob("*.py")
        if "pulumi_kubernetes" in path.read_text() and "render_provider" not in path.parts
    }

    assert makers == {"infra/components"}


def components() -> list[type[pulumi.ComponentResource]]:
    for module in pkgutil.iter_modules(infra.components.__path__, "infra.components."):
        importlib.import_module(module.name)
    return [
        kind
        for kind in pulumi.ComponentResource.__subclasses__()
        if kind.__module__.startswith("infra.components.")
    ]


@pytest.mark.parametrize("component", components(), ids=lambda c: c.__name__)
def test_every_component_takes_one_frozen_args_object(
    component: type[pulumi.ComponentResource],
) -> None:
    hints = get_type_hints(component.__init__)
    names = list(inspect.signature(component.__init__).parameters)

    assert names in (["self", "args"], ["self", "args", "opts"])
    assert dataclasses.is_dataclass(hints["args"])
    params: Any = vars(hints["args"])["__dataclass_params__"]
    assert params.frozen


def test_the_adapter_serves_what_the_autoscaler_reads() -> None:
    resources, _ = run(config("staging"))
    (file,) = one(resources, "ConfigMap", "adapter-rules").inputs["data"].values()
    (rule,) = yaml.safe_load(file)["rules"]
    metrics = one(resources, "HorizontalPodAutoscaler", "api").inputs["spec"]["metrics"]

    (pods,) = [m["pods"] for m in metrics if m["type"] == "Pods"]
    assert rule["name"]["as"] == pods["metric"]["name"] == ACTIVE_PAYMENTS.name
    assert rule["seriesQuery"] == ('active_payments_gauge{namespace="coinslot-staging",pod!=""}')


def test_without_an_adapter_nothing_waits_for_its_metric() -> None:
    api = json.loads(raw_config("local")["api"])
    api["autoscaling"]["activePayments"] = 0
    resources, _ = run(config("local", api=api))
    metrics = one(resources, "HorizontalPodAutoscaler", "api").inputs["spec"]["metrics"]

    assert [metric["resource"]["name"] for metric in metrics] == ["cpu", "memory"]
    assert "adapter-rules" not in {r.name for r in resources}
    stack = Stack([r.inputs for r in resources if r.type.startswith("kubernetes:")])
    assert [v for v in policy.violations(stack) if v.object.startswith("Horizontal")] == []


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_has_a_fixed_name_and_the_labels_of_its_stack(stack: str) -> None:
    resources, _ = run(config(stack))
    objects = [r for r in resources if r.type.startswith("kubernetes:")]

    assert len(objects) > 20
    for resource in objects:
        metadata = resource.inputs["metadata"]
        assert metadata["name"].startswith("coinslot"), resource.name
        assert metadata["labels"].items() >= labels.common(stack).items(), resource.name


@pytest.mark.parametrize(
    ("changes", "role", "without"),
    [
        ({}, "api", {"LIBRARY_TOKEN", "MIGRATION_DATABASE_URL", "STRIPE_API_KEY"}),
        ({}, "worker", {"JWT_SECRET", "JWT_KEYS", "REDIS_URL", "SIMULATOR_WEBHOOK_SECRETS"}),
        ({"jwt_hs256": "off"}, "api", {"JWT_SECRET"}),
        ({"providers": "stripe", "default_provider": "stripe"}, "worker", {"SIMULATOR_API_KEY"}),
    ],
)
def test_a_role_is_given_its_own_secrets(
    changes: dict[str, str], role: Role, without: set[str]
) -> None:
    chosen = {**json.loads(raw_config("staging")["settings"]), **changes}
    network = json.loads(raw_config("staging")["network"])
    network["services"]["stripe"] = {"port": 443, "internet": True}
    settings = config("staging", settings=chosen, network=network)
    resources, _ = run(settings)
    variables = container_of(one(resources, "Deployment", role))["env"]
    given = {v["name"]: v["valueFrom"]["secretKeyRef"].get("optional", False) for v in variables}

    wanted = service_settings.secrets_of(role, settings.environment)
    assert given == {name: not needed for name, needed in wanted.items()}
    assert not given.keys() & without


def test_the_migration_holds_the_database_alone() -> None:
    resources, _ = run(config("prod"))
    (job,) = [r for r in resources if r.type == "kubernetes:batch/v1:Job"]
    assert {v["name"] for v in container_of(job)["env"]} == {
        "DATABASE_URL",
        "MIGRATION_DATABASE_URL",
    }


NETWORK = json.loads(raw_config("prod")["network"])
BOTH = {
    "ipFamilies": ["IPv4", "IPv6"],
    "database": [{"cidr": "10.30.0.0/24", "port": 5432}, {"cidr": "fd00:20::/64", "port": 5433}],
    "dnsAddresses": ["169.254.20.10", "fd00:10::a"],
}


def _reaches(resources: Sequence[Registered], flow: str) -> list[tuple[str, int]]:
    """Return the ranges and namespaces that a flow leads to, each with its port."""
    found = []
    for rule in one(resources, "NetworkPolicy", flow).inputs["spec"]["egress"]:
        for there in rule["to"]:
            block = there.get("ipBlock", {})
            namespace = there.get("namespaceSelector", {}).get("matchLabels", {})
            name = block.get("cidr") or namespace["kubernetes.io/metadata.name"]
            found += [(name, int(port["port"])) for port in rule["ports"]]
    return found


def test_a_dual_stack_is_reached_and_reaches_by_both_families() -> None:
    settings = config("prod", network={**NETWORK, **BOTH})
    resources, _ = run(settings)

    assert _reaches(resources, "database") == [("10.30.0.0/24", 5432), ("fd00:20::/64", 5433)]
    assert _reaches(resources, "webhooks") == [("0.0.0.0/0", 443), ("2000::/3", 443)]
    names = [("169.254.20.10/32", 53), ("fd00:10::a/128", 53), ("kube-system", 53)]
    assert sorted(set(_reaches(resources, "dns"))) == names
    service = one(resources, "Service", "api").inputs["spec"]
    assert service["ipFamilies"] == ["IPv4", "IPv6"]
    assert service["ipFamilyPolicy"] == "PreferDualStack"
    assert settings.environment["HOST"] == "0.0.0.0,::"
    stack = Stack([r.inputs for r in resources if r.type.startswith("kubernetes:")])
    assert [str(found) for found in policy.violations(stack) if "flows" in found.rule] == []


def test_a_cluster_of_ipv6_alone_names_no_address_of_ipv4() -> None:
    peers = {name: {"cidr": "fd00:20::/64", "port": 5432} for name in ("database", "cache")}
    settings = config("prod", network={**NETWORK, **peers, "ipFamilies": ["IPv6"]})
    resources, _ = run(settings)

    assert _reaches(resources, "webhooks") == [("2000::/3", 443)]
    assert "ipFamilyPolicy" not in one(resources, "Service", "api").inputs["spec"]
    assert settings.environment["HOST"] == "::"


def test_one_peer_and_a_list_of_one_are_the_same() -> None:
    first = NETWORK["database"]
    assert (
        config("prod", network={**NETWORK, "database": [first]}).network == config("prod").network
    )


def test_only_the_api_reaches_the_cache() -> None:
    resources, _ = run(config("prod"))
    selector = one(resources, "NetworkPolicy", "cache").inputs["spec"]["podSelector"]
    assert selector["matchExpressions"][0]["values"] == ["api"]


def test_an_existing_secret_is_named_and_not_made() -> None:
    resources, _ = run(config("prod", secrets={"source": "existing", "name": "theirs"}))

    assert not [r for r in resources if r.type == "kubernetes:core/v1:Secret"]
    variables = container_of(one(resources, "Deployment", "api"))["env"]
    assert {v["valueFrom"]["secretKeyRef"]["name"] for v in variables} == {"theirs"}


def test_encrypted_values_reach_the_secret_on_a_cluster() -> None:
    settings = config(
        "prod",
        target="cluster",
        image=IMAGE,
        secrets={"source": "stack"},
        secretValues=SECRET_VALUES,
    )
    resources, outputs = run(settings)

    encrypted = {SIGNATURE_KEY: SECRET_SIGNATURE, "value": SECRET_VALUES}
    assert one(resources, "Secret", "secrets").inputs["stringData"] == encrypted
    assert outputs["rendered"] is None
    assert "s3cr3t" not in str([r for r in resources if r.type != "kubernetes:core/v1:Secret"])


def test_rendering_puts_placeholders_where_values_would_be() -> None:
    settings = config("prod", secrets={"source": "stack"}, secretValues=SECRET_VALUES)
    resources, _ = run(settings)

    texts = one(resources, "Secret", "secrets").inputs["stringData"]["value"]
    assert set(texts.values()) == {labels.PLACEHOLDER}
    assert "s3cr3t" not in str(resources)


def test_rendering_keeps_the_cluster_of_this_machine_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    resources, outputs = run(config("prod"))

    assert outputs["rendered"] == "infra/rendered/prod"
    (provider,) = [r for r in resources if r.type == "pulumi:providers:kubernetes"]
    assert "kubeconfig" not in provider.inputs
    assert provider.inputs["renderYamlToDirectory"] == "rendered/prod"


def test_another_setting_is_another_configuration_for_every_role() -> None:
    before, _ = run(config("prod"))
    chosen = config("prod").settings
    after, _ = run(config("prod", settings={**chosen, "log_level": "warning"}))

    for role in ("api", "worker"):
        assert _configured_by(before, "Deployment", role) != _configured_by(
            after, "Deployment", role
        )
    assert one(before, "Job", "migrate").inputs != one(after, "Job", "migrate").inputs
    same, _ = run(config("prod"))
    assert one(same, "ConfigMap", "config").inputs == one(before, "ConfigMap", "config").inputs


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_pods_name_a_version_of_their_configuration(stack: str) -> None:
    resources, _ = run(config(stack))
    version = one(resources, "ConfigMap", "config").inputs
    assert version["immutable"] is True
    for kind, role in (("Deployment", "api"), ("Deployment", "worker"), ("Job", "migrate")):
        assert _configured_by(resources, kind, role) == version["metadata"]["name"]


def test_a_secret_of_ours_is_a_version_as_well() -> None:
    def version(**values: str) -> Registered:
        given = {**SECRET_VALUES, **values}
        resources, _ = run(
            config(
                "prod",
                target="cluster",
                image=IMAGE,
                secrets={"source": "stack"},
                secretValues=given,
            )
        )
        found = one(resources, "Secret", "secrets")
        references = [
            variable["valueFrom"]["secretKeyRef"]["name"]
            for role in ("api", "worker")
            for variable in container_of(one(resources, "Deployment", role))["env"]
        ]
        assert set(references) == {found.inputs["metadata"]["name"]}
        return found

    first, second = version(), version(JWT_SECRET="another-" * 6)
    assert first.inputs["immutable"] is True
    assert first.inputs["metadata"]["name"].startswith("coinslot-secrets-")
    assert first.inputs["metadata"]["name"] != second.inputs["metadata"]["name"]


def test_a_migration_that_failed_is_made_again_by_the_next_up() -> None:
    resources, _ = run(config("prod"))
    (job,) = [r for r in resources if r.type == "kubernetes:batch/v1:Job"]
    assert job.inputs["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    assert job.deleted_first, "one of the same name would meet the old one"


def test_the_autoscaler_owns_the_pods_that_it_did_not_have_to_wait_for() -> None:
    resources, _ = run(config("prod", target="cluster", image=IMAGE))
    api = one(resources, "Deployment", "api")
    scaler = one(resources, "HorizontalPodAutoscaler", "api").inputs["spec"]
    assert api.inputs["spec"]["replicas"] == scaler["minReplicas"]
    assert api.ignored == ("spec.replicas",)
    assert one(resources, "Deployment", "worker").ignored == ()

    resources, _ = run(config("prod"))
    assert "replicas" not in one(resources, "Deployment", "api").inputs["spec"], (
        "who applies the manifests again would take the autoscaler's pods away"
    )


def test_a_new_secret_revision_rolls_the_pods() -> None:
    before, _ = run(config("prod"))
    after, _ = run(config("prod", secrets={"source": "existing", "revision": 2}))

    assert _marks(before, "api") != _marks(after, "api")


def test_the_migration_is_named_by_its_image_and_its_files(tmp_path: Path) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    name = _migration()

    assert _migration(migrations=tmp_path) == name
    assert _migration(image={"repository": "ghcr.io/a/b", "tag": "9"}) != name
    (tmp_path / "9999_new.sql").write_text("SELECT 1")
    assert _migration(migrations=tmp_path) != name


def test_a_digest_pins_the_image() -> None:
    resources, outputs = run(config("prod", image=IMAGE))

    assert outputs["image"] == f"ghcr.io/a/b:9@{IMAGE['digest']}"
    assert container_of(one(resources, "Deployment", "worker"))["image"] == outputs["image"]


def _configured_by(resources: Sequence[Registered], kind: str, role: str) -> Any:
    (source,) = container_of(one(resources, kind, role))["envFrom"]
    return source["configMapRef"]["name"]


def _marks(resources: Sequence[Registered], role: str) -> Any:
    deployment = one(resources, "Deployment", role)
    return deployment.inputs["spec"]["template"]["metadata"]["annotations"]


def _migration(migrations: Path = MIGRATIONS, **changes: Any) -> str:
    _, outputs = run(config("prod", **changes), migrations)
    return str(outputs["migration"])
