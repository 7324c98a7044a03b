"""Settings from the environment: typed, bounded, and with errors that help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import settings
from service.secret_use import ROLES, USES, Role, secrets_of
from service.setting_types import Secret
from service.settings import SettingsError, load
from service.settings_checks import ORDERED

NEEDED = {
    "DATABASE_URL": "postgresql://u:hunter2@db/coinslot",
    "JWT_SECRET": "k" * 32,
    "SIMULATOR_API_KEY": "sim-key",
    "LIBRARY_TOKEN": "lib-token",
}


def test_the_needed_ones_are_enough() -> None:
    loaded = load(NEEDED)
    assert loaded.database_url.reveal() == NEEDED["DATABASE_URL"]
    assert (loaded.port, loaded.environment) == (8080, "local")
    assert not loaded.redis_url


def test_values_are_converted_and_trimmed() -> None:
    loaded = load(
        {**NEEDED, "PORT": " 9000 ", "PROVIDER_TIMEOUT_S": "2", "LOG_LEVEL": "debug", "OTHER": "x"}
    )
    assert (loaded.port, loaded.provider_timeout_s, loaded.log_level) == (9000, 2.0, "debug")


def test_an_empty_variable_is_an_absent_one() -> None:
    assert load({**NEEDED, "PORT": ""}).port == 8080


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_missing_one_is_named_with_its_remedy(name: str) -> None:
    environ = {key: value for key, value in NEEDED.items() if key != name}
    with pytest.raises(SettingsError, match=rf"{name} is not set; give "):
        load(environ)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "0", "at least 1, at most 65535"),
        ("PORT", "http", "at least 1, at most 65535"),
        ("PROVIDER_TIMEOUT_S", "0", "above 0, at most 86400"),
        ("LOG_LEVEL", "loud", "debug or info or warning or error"),
        ("ENVIRONMENT", "production", "local or staging or prod"),
        ("SIMULATOR_URL", "localhost:8090", "matching"),
        ("OUTBOX_BATCH", "1e9", "at most 1000"),
    ],
)
def test_a_wrong_one_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({**NEEDED, name: value})
    assert f"{name} is {value!r}" in str(caught.value)
    assert allowed in str(caught.value)


@pytest.mark.parametrize(("lower", "upper", "factor", "why"), ORDERED)
def test_one_that_is_larger_than_it_may_be_is_named_with_the_other(
    lower: str, upper: str, factor: float, why: str
) -> None:
    """Just large enough is right, whatever the others are."""
    large_s = 100.0
    environ, small_s = {**NEEDED, upper.upper(): str(large_s)}, large_s / factor
    with pytest.raises(SettingsError) as caught:
        load({**environ, lower.upper(): str(small_s + 1)})
    said = str(caught.value)
    assert f"{lower.upper()} is {small_s + 1:g}, which" in said
    assert f"is not below {upper.upper()}, {large_s:g}: {why} only then; " in said
    assert "lower the one or raise the other" in said
    allowed_s = small_s if factor > 1 else small_s - 0.001
    assert upper.upper() not in _complaints({**environ, lower.upper(): str(allowed_s)}, lower)


def _complaints(environ: dict[str, str], lower: str) -> str:
    """Return what is said of two settings of which the first is `lower`."""
    try:
        load(environ)
    except SettingsError as error:
        lines = str(error).splitlines()
        return "\n".join(line for line in lines if line.strip().startswith(lower.upper()))
    return ""


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"PORT": "x"})
    assert all(name in str(caught.value) for name in (*NEEDED, "PORT"))


@pytest.mark.parametrize("environ", [{"PORT": "9464"}, {"OPS_PORT": "8080"}])
def test_the_metrics_have_a_port_that_is_not_the_public_one(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="OPS_PORT is PORT too"):
        load({**NEEDED, **environ})


def test_a_short_key_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match="JWT_SECRET has fewer than 32 bytes") as caught:
        load({**NEEDED, "JWT_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_default_provider_is_the_first_of_the_configured_ones() -> None:
    both = {**NEEDED, "PROVIDERS": "simulator,stripe", "STRIPE_API_KEY": "sk"}
    assert load(both).provider_names == ("simulator", "stripe")
    assert load({**both, "DEFAULT_PROVIDER": "stripe"}).provider_names == ("stripe", "simulator")


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"PROVIDERS": "simulator,paypal"}, "PROVIDERS names 'paypal'; allowed: simulator, stripe"),
        ({"DEFAULT_PROVIDER": "stripe"}, "DEFAULT_PROVIDER is 'stripe', which PROVIDERS does not"),
        ({"PROVIDERS": "simulator,stripe"}, "STRIPE_API_KEY is not set; give the key"),
        ({"STRIPE_RETURN_URL": "javascript:x"}, "STRIPE_RETURN_URL is 'javascript:x'"),
    ],
)
def test_providers_that_cannot_be_used_are_refused(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load({**NEEDED, **environ})


ROLE_NEEDS = {
    "api": {"DATABASE_URL", "JWT_SECRET", "SIMULATOR_API_KEY"},
    "worker": {"DATABASE_URL", "SIMULATOR_API_KEY", "LIBRARY_TOKEN"},
    "migrate": {"DATABASE_URL"},
}
STRIPE = {"PROVIDERS": "stripe", "DEFAULT_PROVIDER": "stripe", "STRIPE_API_KEY": "sk"}
KEYS = '[{"kid": "a", "alg": "HS256", "key": "' + "k" * 32 + '"}]'


@pytest.mark.parametrize("role", ROLES)
def test_a_role_starts_with_its_own_secrets(role: Role) -> None:
    own = {name: NEEDED[name] for name in ROLE_NEEDS[role]}
    loaded = load(own, role)
    assert loaded.database_url.reveal() == NEEDED["DATABASE_URL"]
    for name in own:
        with pytest.raises(SettingsError, match=f"{name} is not set; give "):
            load({key: value for key, value in own.items() if key != name}, role)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_no_secret_of_another(role: Role) -> None:
    given = {name.upper(): f"{name} " * 8 for name in settings.secret_fields()}
    loaded = load({**given, "JWT_KEYS": "", "WEBHOOK_MASTER_KEYS": ""}, role)
    read = {name for name in settings.secret_fields() if loaded.value(name)}
    own = secrets_of((role,), ("simulator",), "on").keys() - {"jwt_keys", "webhook_master_keys"}
    assert read == own
    assert {"api": "library_token", "worker": "jwt_secret", "migrate": "jwt_secret"}[
        role
    ] not in read


def test_the_owner_migrates_by_either_name() -> None:
    assert load({"MIGRATION_DATABASE_URL": "postgresql://owner@db/x"}, "migrate")
    with pytest.raises(SettingsError, match="DATABASE_URL is not set; give a URL"):
        load({}, "migrate")


@pytest.mark.parametrize("role", ["api", "worker"])
def test_the_simulators_key_is_for_who_has_it_as_a_provider(role: Role) -> None:
    own = {name: NEEDED[name] for name in ROLE_NEEDS[role] - {"SIMULATOR_API_KEY"}}
    assert not load({**own, **STRIPE, "SIMULATOR_API_KEY": "left over"}, role).value(
        "simulator_api_key"
    )


def test_without_hs256_there_is_no_secret_for_it() -> None:
    own = {name: NEEDED[name] for name in ROLE_NEEDS["api"]} | {"JWT_HS256": "off"}
    assert not load({**own, "JWT_KEYS": KEYS}, "api").jwt_secret
    with pytest.raises(SettingsError, match="JWT_KEYS is not set; JWT_HS256 is off"):
        load(own, "api")


def test_every_secret_is_declared_with_who_needs_it() -> None:
    assert set(USES) == set(settings.secret_fields())


def test_every_secret_is_known_as_one() -> None:
    assert set(settings.secret_fields()) == {
        "database_url",
        "migration_database_url",
        "redis_url",
        "jwt_secret",
        "jwt_keys",
        "simulator_api_key",
        "stripe_api_key",
        "simulator_webhook_secrets",
        "stripe_webhook_secrets",
        "webhook_master_keys",
        "library_token",
    }


@given(st.text(min_size=1))
def test_a_secret_never_shows_itself(value: str) -> None:
    secret = Secret(value)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}"]
    assert set(shown) == {"Secret(***)", "***"}
    assert secret.reveal() == value


def test_settings_show_no_secret() -> None:
    shown = repr(load(NEEDED))
    assert not [value for value in NEEDED.values() if value in shown]


def test_every_wrong_network_of_a_list_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load({**NEEDED, "TRUSTED_PROXIES": "10.0.0.0/8,10.0.0.0/99,nowhere"})
    assert all(wrong in str(caught.value) for wrong in ("10.0.0.0/99", "nowhere", "give networks"))
