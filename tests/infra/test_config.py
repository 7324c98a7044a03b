"""Stack settings: what is read, and what is said about what can't be."""

import json
from typing import Any

import pytest

from infra import service_settings
from infra.config import StackConfigError, _tell_missing_secrets, load, missing_secrets
from infra.stacks import STACKS
from service.settings import fields
from tests.infra.program import config, raw_config


def problems(stack: str, secret_keys: tuple[str, ...] = (), **changes: Any) -> list[str]:
    """Return the lines of the error that these changes of a stack's file cause."""
    raw = raw_config(stack)
    for key, value in changes.items():
        raw[key] = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(StackConfigError) as caught:
        load(stack, raw, secret_keys)
    return [line.strip() for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("stack", STACKS)
def test_every_committed_stack_is_valid(stack: str) -> None:
    loaded = config(stack)

    assert loaded.namespace == f"coinslot-{stack}"
    assert loaded.render_directory == f"rendered/{stack}"
    assert loaded.api.autoscaling.min_replicas == 3


def test_an_unknown_key_is_named_with_its_nearest_neighbour() -> None:
    assert problems("prod", imagee={}) == [
        "Pulumi.prod.yaml has 1 problem:",
        "coinslot:imagee is not known; did you mean coinslot:image?",
    ]


def test_an_unknown_key_inside_a_mapping_is_named_with_its_path() -> None:
    api = json.loads(raw_config("prod")["api"]) | {"autoscaling": {"maxReplica": 7}}

    assert problems("prod", api=api)[1:] == [
        "coinslot:api.autoscaling.maxReplica is not known; "
        "did you mean coinslot:api.autoscaling.maxReplicas?"
    ]


DIGEST = "sha256:" + "5" * 64


@pytest.mark.parametrize(
    ("image", "taken"),
    [
        ("localhost/valkey:9.1.2", True),
        (f"docker.io/valkey/valkey:9.1.2@{DIGEST}", True),
        (f"registry.example:5000/valkey:9.1.2@{DIGEST}", True),
        ("docker.io/valkey/valkey:9.1.2", False),
        ("localhost.example/valkey:9.1.2", False),
        (f"docker.io/valkey/valkey:latest@{DIGEST}", False),
        (f"docker.io/valkey/valkey@{DIGEST}", False),
        ("localhost/valkey:latest", False),
        ("localhost/valkey", False),
    ],
)
def test_a_server_of_ones_own_comes_by_digest_or_from_nodes(image: str, *, taken: bool) -> None:
    dependencies = json.loads(raw_config("local")["dependencies"]) | {"valkey": image}
    if taken:
        assert config("local", dependencies=dependencies).dependencies
        return
    (_, line) = problems("local", dependencies=dependencies)
    assert line.startswith("coinslot:dependencies.valkey")
    assert "with a digest unless it is localhost/" in line


def test_a_key_like_no_other_gets_the_list() -> None:
    (_, line) = problems("prod", zzz="1")

    assert line.startswith("coinslot:zzz is not known; known: api, database, dependencies, image, ")


def test_a_wrong_type_is_named_with_what_is_allowed() -> None:
    api = json.loads(raw_config("prod")["api"]) | {"autoscaling": {"maxReplicas": "many"}}

    assert problems("prod", api=api)[1:] == [
        'coinslot:api.autoscaling.maxReplicas is "many"; '
        "expected a whole number, at least 3, at most 20"
    ]


def test_a_text_in_place_of_a_mapping_is_refused() -> None:
    assert problems("prod", image="coinslot:1")[1:] == [
        'coinslot:image is "coinslot:1"; expected a mapping of repository, tag, digest'
    ]


def test_missing_keys_are_named_at_any_depth() -> None:
    raw = raw_config("staging") | {"image": json.dumps({"tag": "1"})}
    del raw["target"]

    with pytest.raises(StackConfigError) as caught:
        load("staging", raw)

    assert "coinslot:target is missing; expected render or cluster" in str(caught.value)
    assert "coinslot:image.repository is missing; expected a text" in str(caught.value)


def test_all_problems_come_at_once() -> None:
    found = problems("local", target="nowhere", image={"repository": "a/b", "tag": "latest"}, x="1")

    assert found[0] == "Pulumi.local.yaml has 3 problems:"
    assert any("expected render or cluster" in line for line in found)
    assert any("not latest" in line for line in found)


def test_a_stack_that_is_not_ours_is_refused() -> None:
    with pytest.raises(StackConfigError, match="no stack 'dev'; stacks: local, staging, prod"):
        load("dev", raw_config("local"))


def test_placeholders_can_not_run_on_a_cluster() -> None:
    (_, line) = problems("local", target="cluster")

    assert "placeholder, which no pod can run with" in line


def test_secret_values_need_the_source_stack() -> None:
    (_, line) = problems("prod", ("secretValues",), secretValues={"JWT_SECRET": "s"})

    assert line == "coinslot:secretValues needs coinslot:secrets.source: stack, and it is existing"


def test_plain_text_secrets_are_refused_and_not_repeated() -> None:
    found = problems("prod", secrets={"source": "stack"}, secretValues={"JWT_SECRET": "hunter2"})

    plain = "in plain text; set each value by `pulumi config set --secret"
    assert any(plain in line for line in found)
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("hunter2", "coinslot:secretValues is no mapping; expected names of secrets"),
        ('{"JWT_SECRET": "hunter2"', "coinslot:secretValues is no mapping"),
        (["hunter2"], "coinslot:secretValues is no mapping"),
        ({"JWT_SECRET": {"a": "hunter2"}}, "secretValues.JWT_SECRET is no text; give it in quotes"),
        ({"JWT_SECRET": "hunter2"}, "secretValues: JWT_SECRET has fewer than 32 bytes"),
        ({"JWT_KEYS": "hunter2"}, "secretValues: JWT_KEYS is ***"),
        # urlsplit's own words repeat what stands before the host.
        ({"DATABASE_URL": "postgresql://u:hunter2@\u2100/db"}, "secretValues.DATABASE_URL has no"),
        ({"DATABASE_URL": "postgresql://u:hunter2@[::1/db"}, "secretValues.DATABASE_URL has no"),
    ],
)
def test_wrong_secrets_are_refused_and_not_repeated(values: Any, message: str) -> None:
    found = problems("local", ("secretValues",), secrets={"source": "stack"}, secretValues=values)

    assert any(message in line for line in found), found
    assert "hunter2" not in "".join(found)


def test_an_empty_secret_is_a_missing_one() -> None:
    secrets = {"source": "stack"}
    lacking = config("staging", secrets=secrets, secretValues={"JWT_SECRET": ""})
    assert "JWT_SECRET" in lacking.missing_secrets


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("image", {"tag": "1.0-"}, 'image.tag is "1.0-"; expected a text, a tag of at most 63'),
        ("image", {"tag": "1.0\n"}, "a tag of at most 63 characters that can be a label too"),
        ("worker", {"replicas": [2]}, "coinslot:worker.replicas is [2]; expected a whole number"),
        (
            "worker",
            {"resources": {"requests": {"cpu": "1Gi", "memory": "256m"}}},
            'requests.cpu is "1Gi"; expected a text, cores such as 2, or 250m of one',
        ),
        (
            "monitoring",
            {"prometheusLabels": {"app.kubernetes.io/name": "x"}},
            "a label's name, and none of app.kubernetes.io/, which are set already",
        ),
        (
            "monitoring",
            {"prometheusLabels": {"release": "two words"}},
            'prometheusLabels.release is "two words"; expected a text, a label\'s value',
        ),
        ("monitoring", {"scrapeInterval": "600s"}, "rates over 5 minutes need some of them"),
        (
            "settings",
            {"db_pool_size": True},
            "coinslot:settings.db_pool_size is true; expected a text or a whole number or a number",
        ),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_before(
    key: str, change: dict[str, Any], message: str
) -> None:
    given = json.loads(raw_config("prod")[key]) | change

    assert any(message in line for line in problems("prod", **{key: given}))


def test_a_mapping_that_is_cut_short_is_named() -> None:
    assert problems("prod", image='{"tag": ')[1:] == [
        'coinslot:image is "{\\"tag\\": "; expected a mapping of repository, tag, digest'
    ]


def test_a_wrong_optional_name_is_told_what_it_may_be() -> None:
    assert problems("prod", priorityClass="Urgent!")[1:] == [
        'coinslot:priorityClass is "Urgent!"; expected a text, a Kubernetes name'
    ]


def test_missing_secrets_are_named_with_the_commands_that_set_them() -> None:
    secrets = {"source": "stack"}
    names = ("DATABASE_URL", "JWT_SECRET", "SIMULATOR_API_KEY", "LIBRARY_TOKEN")
    lacking = config("staging", secrets=secrets)
    assert lacking.missing_secrets == names
    first, *commands = missing_secrets(lacking).splitlines()
    assert first == (
        "Pulumi.staging.yaml lacks 4 secrets that its pods can't start without; set each by:"
    )
    assert commands == [
        f"  pulumi config set --secret --path 'coinslot:secretValues.{name}' -s staging"
        for name in names
    ]
    assert "STRIPE_API_KEY" in config("prod", secrets=secrets).missing_secrets
    assert missing_secrets(config("staging")) == ""


def test_without_its_secrets_a_stack_is_previewed_and_not_brought_to_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    secrets = {"source": "stack"}
    lacking = config("staging", target="cluster", secrets=secrets)
    with pytest.raises(StackConfigError, match="lacks 4 secrets"):
        _tell_missing_secrets(lacking, previewing=False)
    assert warned == []
    _tell_missing_secrets(lacking, previewing=True)
    _tell_missing_secrets(config("staging", secrets=secrets), previewing=False)
    assert [text.partition(";")[0] for text in warned] == [
        "Pulumi.staging.yaml lacks 4 secrets that its pods can't start without"
    ] * 2


@pytest.mark.parametrize(
    "database", [{"port": 5432}, {"port": 5432, "cidr": "10.0.0.0/8", "namespace": "db"}]
)
def test_a_peer_is_a_range_or_a_namespace(database: dict[str, Any]) -> None:
    network = json.loads(raw_config("prod")["network"]) | {"database": database}

    assert problems("prod", network=network)[1:] == [
        "coinslot:network.database needs one of cidr, namespace and internet: true"
    ]


def test_bounds_that_cross_are_refused() -> None:
    api = json.loads(raw_config("prod")["api"])
    api["autoscaling"] = {"minReplicas": 9, "maxReplicas": 5}

    assert problems("prod", api=api)[1:] == [
        "coinslot:api.autoscaling.minReplicas is 9, not below maxReplicas 5; "
        "an autoscaler needs room"
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_levle": "debug"}, "did you mean coinslot:settings.log_level?"),
        ({"log_level": "loud"}, "coinslot:settings: LOG_LEVEL is 'loud'"),
        ({"environment": "prod"}, "environment is derived from the stack's name; remove it"),
        ({"jwt_secret": "x"}, "coinslot:settings.jwt_secret is not known"),
        ({"db_pool_size": 0}, "coinslot:settings: DB_POOL_SIZE is '0'"),
    ],
)
def test_service_settings_are_checked_by_the_service_itself(
    settings: dict[str, Any], message: str
) -> None:
    assert any(message in line for line in problems("staging", settings=settings))


def test_every_plain_setting_has_a_value_and_no_secret_has() -> None:
    values = service_settings.plain_values("prod", "1.2.3", {"log_level": "warning"})
    secret = set(service_settings.secret_names())

    assert values.keys() == {name.upper() for name in fields()} - secret
    assert service_settings.parsed(values).log_level == "warning"
    assert service_settings.parsed(values).version == "1.2.3"


def test_another_folder_for_manifests_comes_from_the_environment() -> None:
    loaded = load("prod", raw_config("prod"), environ={"COINSLOT_RENDER_DIR": "/elsewhere"})

    assert loaded.render_directory == "/elsewhere/prod"


def test_a_deployment_names_the_image_that_it_has_built() -> None:
    image = f"ghcr.io/coinslot/coinslot:3fa21c7@sha256:{'a' * 64}"
    loaded = load("prod", raw_config("prod"), environ={"COINSLOT_IMAGE": image})
    assert loaded.image.reference == image
    with pytest.raises(StackConfigError, match=r"coinslot:image\.repository"):
        load("prod", raw_config("prod"), environ={"COINSLOT_IMAGE": "no-tag"})
