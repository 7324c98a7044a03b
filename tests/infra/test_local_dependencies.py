"""The servers that the stack `local` brings along, as the program asks for them."""

from pathlib import Path

from infra.components.local_dependencies import MAKE_SERVICE_LOGIN
from infra.render_provider.wire import SECRET_SIGNATURE, SIGNATURE_KEY
from infra.stacks import STACKS
from tests.infra.program import config, container_of, one, run


def test_only_local_brings_its_servers_along() -> None:
    for stack in STACKS:
        resources, _ = run(config(stack))
        found = {r.name for r in resources if r.type.startswith("kubernetes:apps/v1:")}
        own = {"api", "worker"}
        assert found == (own | {"postgresql", "valkey", "simulator"} if stack == "local" else own)


def test_the_local_database_is_set_up_as_the_service_will_ask_for_it() -> None:
    there = "coinslot-postgresql:5432/money"
    settings = config(
        "local",
        target="cluster",
        secrets={"source": "stack"},
        secretValues={
            **dict.fromkeys(config("local").needed_secrets, "x" * 32),
            "DATABASE_URL": f"postgresql://shop:p%40ss@{there}",
            "MIGRATION_DATABASE_URL": f"postgresql://owner:0wn3r@{there}",
            "REDIS_URL": "redis://coinslot-valkey:6379/0",
        },
    )
    resources, _ = run(settings)

    secret = one(resources, "Secret", "postgresql").inputs["stringData"]
    assert secret[SIGNATURE_KEY] == SECRET_SIGNATURE
    assert secret["value"] == {
        "POSTGRES_USER": "owner",
        "POSTGRES_PASSWORD": "0wn3r",
        "POSTGRES_DB": "money",
        "SERVICE_USER": "shop",
        "SERVICE_PASSWORD": "p@ss",
    }
    others = str([r for r in resources if r.type != "kubernetes:core/v1:Secret"])
    assert "p@ss" not in others
    assert "0wn3r" not in others
    database = one(resources, "StatefulSet", "postgresql")
    references = {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]["key"]
        for variable in container_of(database)["env"]
        if "valueFrom" in variable
    }
    assert references == {name: name for name in secret["value"]}


def test_the_local_database_makes_the_services_login_by_a_script() -> None:
    resources, _ = run(config("local"))
    pod = one(resources, "StatefulSet", "postgresql").inputs["spec"]["template"]["spec"]
    script = one(resources, "ConfigMap", "postgresql").inputs
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each.get("readOnly")]
    (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]

    assert mount["mountPath"] == "/docker-entrypoint-initdb.d"
    assert volume["configMap"]["name"] == script["metadata"]["name"]
    assert script["data"] == {"service-login.sql": MAKE_SERVICE_LOGIN}


def test_the_local_database_keeps_its_data_on_a_claim() -> None:
    resources, _ = run(config("local"))
    database = one(resources, "StatefulSet", "postgresql")
    spec, container = database.inputs["spec"], container_of(database)
    (claim,) = spec["volumeClaimTemplates"]
    pod = spec["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    variables = {each["name"]: each.get("value") for each in container["env"]}

    assert claim["metadata"]["name"] not in {volume["name"] for volume in pod["volumes"]}
    folder = mounts[claim["metadata"]["name"]]
    assert Path(variables["PGDATA"]).parent == Path(folder), "the mount itself is root's"
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    service = one(resources, "Service", "postgresql").inputs
    assert spec["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
