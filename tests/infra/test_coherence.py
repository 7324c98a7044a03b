"""Settings that are right one by one and wrong together: the file, the key, the remedy."""

import json
from typing import Any

import pytest

from infra.config import StackConfigError, load
from infra.stacks import STACKS
from service.settings_checks import ORDERED
from tests.infra.program import config, raw_config


def refused(stack: str, **changes: Any) -> str:
    """Return what is said about a stack's file in which some mappings are extended."""
    raw = raw_config(stack)
    for key, value in changes.items():
        old = json.loads(raw.get(key, "{}")) if isinstance(value, dict) else {}
        raw[key] = json.dumps(_merged(old, value)) if isinstance(value, dict) else value
    with pytest.raises(StackConfigError) as caught:
        load(stack, raw, ("secretValues",))
    return str(caught.value)


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


LOGINS = ("DATABASE_URL", "MIGRATION_DATABASE_URL")

TOGETHER: dict[str, tuple[str, dict[str, Any], str]] = {
    "an autoscaler without room": (
        "prod",
        {"api": {"autoscaling": {"minReplicas": 5, "maxReplicas": 5}}},
        "coinslot:api.autoscaling.minReplicas is 5, not below maxReplicas 5; an autoscaler needs",
    ),
    "a request above its limit": (
        "prod",
        {"worker": {"resources": {"requests": {"memory": "1Gi"}}}},
        "coinslot:worker.resources.requests.memory is 1Gi, above limits.memory 512Mi; lower the",
    ),
    "a request above its limit in other units": (
        "prod",
        {"api": {"resources": {"requests": {"cpu": "1001m"}}}},
        "coinslot:api.resources.requests.cpu is 1001m, above limits.cpu 1",
    ),
    "pools that outgrow the database": (
        "prod",
        {"settings": {"db_pool_size": 18}},
        "coinslot:settings.db_pool_size is 18: 28 pods, at full scale and in a rollout, need 506 "
        "connections, and coinslot:database leaves 490; take at most 17, lower",
    ),
    "a database that shrinks": (
        "prod",
        {"database": {"maxConnections": 200}},
        "coinslot:settings.db_pool_size is 8: 28 pods, at full scale and in a rollout, need 226",
    ),
    "a URL on a port that no flow allows": (
        "staging",
        {"settings": {"library_url": "https://library.example"}},
        "coinslot:settings.library_url is on port 443, and no peer of coinslot:network.services",
    ),
    "a provider that can't be reached": (
        "staging",
        {"settings": {"providers": "simulator,stripe"}},
        "coinslot:settings.stripe_url is on port 443, and no peer of coinslot:network.services",
    ),
    "a URL in a namespace that no flow allows": (
        "prod",
        {"settings": {"library_url": "http://library.shelves.svc:8080"}},
        "coinslot:settings.library_url is at library.shelves.svc, and no peer of",
    ),
    "a URL outside where only namespaces are allowed": (
        "prod",
        {"settings": {"library_url": "http://library.example:8080"}},
        "coinslot:settings.library_url is at library.example, and no peer of",
    ),
    "a URL with no port that there can be": (
        "prod",
        {"settings": {"library_url": "http://library.library.svc:99999"}},
        "coinslot:settings.library_url: Port out of range 0-65535; give a URL such as",
    ),
    "a URL with a login": (
        "prod",
        {"settings": {"library_url": "http://u:p@library.library.svc:8080"}},
        "coinslot:settings.library_url holds a login, and is written into a ConfigMap",
    ),
    "a range that is none": (
        "prod",
        {"network": {"database": {"cidr": "10.30.0.1/24"}}},
        "coinslot:network.database.cidr: 10.30.0.1/24 has host bits set; expected a range such",
    ),
    "a range of the whole world": (
        "prod",
        {"network": {"services": {"x": {"cidr": "0.0.0.0/0", "port": 443}}}},
        "coinslot:network.services.x.cidr is 0.0.0.0/0, wider than any network of ours",
    ),
    "the cloud's metadata server as a peer": (
        "prod",
        {"network": {"services": {"x": {"cidr": "169.254.169.254/32", "port": 80}}}},
        "coinslot:network.services.x.cidr is 169.254.169.254/32, where the cloud's metadata",
    ),
    "IPv6 in a cluster that has none": (
        "prod",
        {"network": {"database": {"cidr": "fd00:20::/64"}}},
        "coinslot:network.database.cidr is fd00:20::/64, and coinslot:network.ipFamilies has no",
    ),
    "IPv4 in a cluster of IPv6 alone": (
        "prod",
        {
            "network": {
                "ipFamilies": ["IPv6"],
                "database": {"cidr": "fd00:20::/64"},
                "cache": {"cidr": "10.0.0.0/16"},
            }
        },
        "coinslot:network.cache.cidr is 10.0.0.0/16, and coinslot:network.ipFamilies has no IPv4",
    ),
    "a range of IPv6 that is none": (
        "prod",
        {"network": {"ipFamilies": ["IPv4", "IPv6"], "database": {"cidr": "fd00:20::1/64"}}},
        "coinslot:network.database.cidr: fd00:20::1/64 has host bits set; expected a range such as",
    ),
    "half of IPv6": (
        "prod",
        {"network": {"ipFamilies": ["IPv4", "IPv6"], "database": {"cidr": "fc00::/7"}}},
        "coinslot:network.database.cidr is fc00::/7, wider than any network of ours; name one",
    ),
    "the metadata server by IPv6": (
        "prod",
        {"network": {"ipFamilies": ["IPv4", "IPv6"], "cache": {"cidr": "fd00:ec2::254/128"}}},
        "coinslot:network.cache.cidr is fd00:ec2::254/128, where the cloud's metadata server is",
    ),
    "one of several peers": (
        "prod",
        {
            "network": {
                "services": {
                    "library": [
                        {"namespace": "library", "port": 8080},
                        {"cidr": "169.254.169.254/32", "port": 8080},
                    ]
                }
            }
        },
        "coinslot:network.services.library[1].cidr is 169.254.169.254/32, where the cloud",
    ),
    "no peer at all": (
        "prod",
        {"network": {"database": []}},
        "coinslot:network.database is empty; name where it is",
    ),
    "no family": (
        "prod",
        {"network": {"ipFamilies": ["IPv4", "IPv4"]}},
        "coinslot:network.ipFamilies needs IPv4, IPv6 or both, each once",
    ),
    "the name server on the node as a peer": (
        "prod",
        {"network": {"services": {"x": {"cidr": "169.254.20.10/32", "port": 53}}}},
        "coinslot:network.services.x.cidr is 169.254.20.10/32, where the cloud's metadata server "
        "is; name the peer's own range (a name server on the node: coinslot:network.dnsAddresses)",
    ),
    "the metadata server as a name server": (
        "prod",
        {"network": {"dnsAddresses": ["169.254.169.254"]}},
        "coinslot:network.dnsAddresses[0] is 169.254.169.254; expected one address, and none where",
    ),
    "a name server that is none": (
        "prod",
        {"network": {"dnsAddresses": ["169.254.20.10", "169.254.20.999"]}},
        "coinslot:network.dnsAddresses[1]: '169.254.20.999' does not appear to be an IPv4 or IPv6",
    ),
    "the internet by another port": (
        "prod",
        {"network": {"services": {"x": {"internet": True, "port": 80}}}},
        "coinslot:network.services.x.port is 80; on the internet only 443 is called",
    ),
    "a peer that is two": (
        "prod",
        {"network": {"services": {"stripe": {"cidr": "10.0.0.0/8"}}}},
        "coinslot:network.services.stripe needs one of cidr, namespace and internet: true",
    ),
    "a database on the internet": (
        "prod",
        {"network": {"database": {"cidr": None, "internet": True}}},
        "coinslot:network.database is on the internet; name the range of addresses",
    ),
    "placeholders outside of local": (
        "staging",
        {"secrets": {"source": "placeholder"}},
        "coinslot:secrets.source is placeholder, and staging is shared; use",
    ),
    "servers of its own outside of local": (
        "staging",
        {"dependencies": dict.fromkeys(("postgresql", "valkey", "simulator"), "localhost/b:1")},
        "coinslot:dependencies is for the stack local: staging has a database and a cache of its",
    ),
    "a shared stack that doesn't scale by its payments": (
        "staging",
        {"api": {"autoscaling": {"activePayments": 0}}},
        "coinslot:api.autoscaling.activePayments is 0: staging scales by it; give a target",
    ),
    "an image of this machine": (
        "staging",
        {"image": {"repository": "localhost/coinslot"}},
        "coinslot:image.repository is localhost/coinslot; name a registry",
    ),
    "nobody believed behind an ingress": (
        "prod",
        {"settings": {"trusted_proxies": ""}},
        "coinslot:settings.trusted_proxies is empty: behind the ingress every client has its",
    ),
    "everybody believed": (
        "prod",
        {"settings": {"trusted_proxies": "10.0.0.0/8,0.0.0.0/0"}},
        "coinslot:settings.trusted_proxies has 0.0.0.0/0: any client there can pretend",
    ),
    "a key in plain text": (
        "staging",
        {"settings": {"stripe_url": "http://api.stripe.com"}},
        "coinslot:settings.stripe_url is http://api.stripe.com; the key needs https",
    ),
    "simulated money in prod": (
        "prod",
        {
            "settings": {
                "providers": "stripe,simulator",
                "simulator_url": "http://simulator.sim.svc:8090",
            },
            "network": {"services": {"simulator": {"namespace": "sim", "port": 8090}}},
        },
        "coinslot:settings.providers names simulator: it answers and moves no money; name stripe",
    ),
    "debug logs in prod": (
        "prod",
        {"settings": {"log_level": "debug"}},
        "coinslot:settings.log_level is debug, which writes far more than is kept; use info",
    ),
    "no limit in prod": (
        "prod",
        {"settings": {"rate_limit_webhooks": 0}},
        "coinslot:settings.rate_limit_webhooks is 0, which is no limit at all; give one",
    ),
    "a tag alone on prod's cluster": (
        "prod",
        {"target": "cluster"},
        "coinslot:image.digest is missing: a tag can be pushed again; give the digest that ran",
    ),
    "own servers and a database elsewhere": (
        "local",
        {"network": {"database": {"namespace": "shared"}}},
        "coinslot:network.database is elsewhere; with coinslot:dependencies it is {namespace: "
        "coinslot-local, port: 5432}",
    ),
    "own servers and somebody else's password": (
        "local",
        {"secrets": {"source": "existing"}},
        "coinslot:secrets.source is existing, and the database of coinslot:dependencies is set up",
    ),
    "own servers and a URL that leads elsewhere": (
        "local",
        {"secrets": {"source": "stack"}, "secretValues": {"DATABASE_URL": "postgresql://u@db/x"}},
        "coinslot:secretValues.DATABASE_URL has no user, password or database, or another host",
    ),
    "own servers and an owner elsewhere": (
        "local",
        {
            "secrets": {"source": "stack"},
            "secretValues": {"MIGRATION_DATABASE_URL": "postgresql://u:p@db/x"},
        },
        "coinslot:secretValues.MIGRATION_DATABASE_URL has no user, password or database, or",
    ),
    "own servers and one login for all": (
        "local",
        {
            "secrets": {"source": "stack"},
            "secretValues": dict.fromkeys(LOGINS, "postgresql://u:p@coinslot-postgresql/x"),
        },
        "coinslot:secretValues.DATABASE_URL has the owner's user, that of MIGRATION_DATABASE_URL;",
    ),
    "own servers and two databases": (
        "local",
        {
            "secrets": {"source": "stack"},
            "secretValues": {
                name: f"postgresql://{name}:p@coinslot-postgresql/{name}" for name in LOGINS
            },
        },
        "coinslot:secretValues.DATABASE_URL and MIGRATION_DATABASE_URL name two databases;",
    ),
    "own servers and a cache elsewhere": (
        "local",
        {"secrets": {"source": "stack"}, "secretValues": {"REDIS_URL": "redis://cache:6379/0"}},
        "coinslot:secretValues.REDIS_URL leads elsewhere; with coinslot:dependencies it is redis://",
    ),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_what_does_not_fit_together_is_refused(case: str) -> None:
    stack, changes, message = TOGETHER[case]
    found = refused(stack, **changes)

    assert found.startswith(f"Pulumi.{stack}.yaml has 1 problem:\n"), found
    assert f"\n  {message}" in found


BROKEN: dict[str, Any] = {
    "zzz": "1",
    "monitoring": {"scrapeInterval": "soon"},
    "settings": {"rate_limit_usr": 1, "jwt_audience": "", "log_format": "runes"},
    "image": {"tag": "latest"},
    "network": {"ingressNamespace": "Up"},
}
"""Unknown and wrong in every section that a check of the others reads."""


@pytest.mark.parametrize("case", TOGETHER)
def test_what_else_is_wrong_hides_nothing(case: str) -> None:
    stack, changes, message = TOGETHER[case]
    found = refused(stack, **_merged(BROKEN, changes))

    for line in (
        message,
        "coinslot:zzz is not known",
        'coinslot:monitoring.scrapeInterval is "soon"',
        "coinslot:settings.rate_limit_usr is not known",
        'coinslot:image.tag is "latest"',
        'coinslot:network.ingressNamespace is "Up"',
    ):
        assert f"\n  {line}" in found, found


@pytest.mark.parametrize("section", ["api", "worker", "database", "network", "secrets", "settings"])
def test_a_section_that_can_not_be_read_hides_no_other(section: str) -> None:
    changes = {"target": "cluster", "priorityClass": "Up!", section: "no mapping"}
    found = refused("prod", **changes)

    assert "coinslot:priorityClass is" in found
    assert f'coinslot:{section} is "no mapping"' in found
    assert "coinslot:image.digest is missing" in found
    assert found.startswith("Pulumi.prod.yaml has 3 problems:\n"), found


@pytest.mark.parametrize(("lower", "upper", "factor", "_why"), ORDERED)
def test_seconds_that_do_not_add_up_are_refused(
    lower: str, upper: str, factor: float, _why: str
) -> None:
    much = 40_000 if lower.startswith("reconciliation") else 300
    settings = {lower: much, upper: much * factor - 1}
    if upper.startswith("reconciliation_window"):
        settings = {lower: 80_000, upper: 80_000}
    message = refused("staging", settings=settings)

    assert f"coinslot:settings: {lower.upper()} is {settings[lower]}, which" in message
    assert f"is not below {upper.upper()}, {settings[upper]:g}: " in message


def test_a_drain_that_is_shorter_than_a_request_is_refused() -> None:
    message = refused("staging", settings={"shutdown_drain_s": 15})

    assert "coinslot:settings.request_timeout_s is 15 s, which is not below" in message


def test_a_secret_url_is_not_repeated() -> None:
    message = refused(
        "local",
        secrets={"source": "stack"},
        secretValues={"DATABASE_URL": "postgresql://u:hunter2@db/x"},
    )

    assert "hunter2" not in message


@pytest.mark.parametrize("stack", STACKS)
def test_the_committed_stacks_fit_together(stack: str) -> None:
    assert config(stack).stack == stack
