"""Several live keys over real HTTP, and the ways in that they might open."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from service.metrics import Metrics
from service.setting_types import Secret
from service.settings import Settings
from service.web import app_factory, auth
from tests.support.keys import private, public
from tests.unit.service.web.conftest import KEY
from tests.unit.service.web.sample_api import Client, Connect, Slow, in_memory, table

PATH: Final = "/v1/things/0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13/receipt"
RSA: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC: Final = ec.generate_private_key(ec.SECP256R1())
STRANGER: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OLD: Final = "old secret " * 4
KEYS: Final = (
    {"kid": "hs-old", "alg": "HS256", "key": OLD},
    {"kid": "rs-1", "alg": "RS256", "key": public(RSA)},
    {"kid": "es-1", "alg": "ES256", "key": public(EC)},
)
Start = Callable[..., Awaitable[Client]]


@pytest.fixture
def start(settings: Settings, slow: Slow, log: Any, aiohttp_client: Connect) -> Start:
    assert log() == []

    async def connect(*keys: dict[str, str]) -> Client:
        changed = msgspec.structs.replace(settings, jwt_keys=Secret(json.dumps(keys)))
        metrics = Metrics(version="1", role="api")
        return await aiohttp_client(
            app_factory.build(changed, metrics, table(slow), quotas=in_memory())
        )

    return connect


def claims(**changes: Any) -> dict[str, Any]:
    made = {"sub": "user-1", "scope": "things:read", "iss": "coinslot", "aud": "coinslot-api"}
    return {**made, "exp": time.time() + 60, **changes}


def sign(key: Any, alg: str, kid: str | None, **headers: Any) -> str:
    named = headers if kid is None else {"kid": kid, **headers}
    return jwt.encode(claims(), key, algorithm=alg, headers=named)


def forge(header: dict[str, Any], key: bytes) -> str:
    """Sign by HMAC with bytes that no library would take for a secret."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=")
        for each in (header, claims())
    ]
    mac = hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    return b".".join((*parts, base64.urlsafe_b64encode(mac).rstrip(b"="))).decode()


async def status(client: Client, token: str) -> int:
    async with client.get(PATH, headers={"Authorization": f"Bearer {token}"}) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [
        (KEY, "HS256", None),
        (OLD, "HS256", "hs-old"),
        (private(RSA), "RS256", "rs-1"),
        (private(EC), "ES256", "es-1"),
    ],
)
async def test_every_live_key_lets_in(start: Start, key: str, alg: str, kid: str | None) -> None:
    assert await status(await start(*KEYS), sign(key, alg, kid)) == 200


async def test_a_key_is_replaced_without_a_gap(start: Start) -> None:
    before, after = sign(OLD, "HS256", "hs-old"), sign(private(RSA), "RS256", "rs-1")
    only_old, both, only_new = KEYS[:1], KEYS[:2], KEYS[1:2]
    found = []
    for keys in (only_old, both, only_new):
        client = await start(*keys)
        found.append((await status(client, before), await status(client, after)))
    assert found == [(200, 401), (200, 200), (401, 200)]


@pytest.mark.parametrize(
    "token",
    [
        forge({"alg": "HS256", "kid": "rs-1"}, public(RSA).encode()),
        forge({"alg": "HS256", "kid": "rs-1"}, public(RSA).strip().encode()),
        forge({"alg": "HS256", "kid": "es-1"}, public(EC).encode()),
        forge({"alg": "HS256"}, public(RSA).encode()),
        forge({"alg": "HS256"}, b""),
        forge({"alg": "HS256", "kid": ""}, KEY.encode()),
        forge({"alg": "HS256", "kid": None}, KEY.encode()),
        forge({"alg": "HS256", "kid": ["hs-old"]}, OLD.encode()),
        forge({"alg": "HS256", "kid": {"hs-old": 1}}, OLD.encode()),
        forge({"alg": "hs256", "kid": "hs-old"}, OLD.encode()),
        forge({"alg": ["HS256"], "kid": "hs-old"}, OLD.encode()),
        forge({"kid": "hs-old"}, OLD.encode()),
        forge({"alg": "none", "kid": "rs-1"}, b""),
        sign(KEY, "HS256", "hs-old"),
        sign(OLD, "HS256", None),
        sign(OLD, "HS256", "rs-1"),
        sign(KEY, "HS256", "unknown"),
        sign(KEY, "HS256", "../../../../dev/null"),
        sign(KEY, "HS256", "hs-old' OR '1'='1"),
        sign(KEY, "HS256", "HS-OLD"),
        sign(OLD, "HS256", "hs-old "),
        sign(private(RSA), "RS256", None),
        sign(private(RSA), "RS256", "es-1"),
        sign(private(RSA), "RS512", "rs-1"),
        sign(private(RSA), "PS256", "rs-1"),
        sign(private(STRANGER), "RS256", "rs-1"),
        sign(private(STRANGER), "RS256", "rs-1", jku="https://evil.example/jwks.json"),
        sign(private(STRANGER), "RS256", "rs-1", x5u="https://evil.example/cert.pem"),
        sign(
            private(STRANGER), "RS256", "rs-1",
            jwk=jwt.get_algorithm_by_name("RS256").to_jwk(STRANGER.public_key(), as_dict=True),
        ),
        sign(OLD, "HS256", "hs-old", padding="x" * auth.MAX_TOKEN),
        "a" * 8_000,
        "a." * 3_000,
    ],
)  # fmt: skip
async def test_nothing_else_does(start: Start, log: Any, token: str) -> None:
    client = await start(*KEYS)
    assert await status(client, token) == 401
    assert log("unexpected_error") == []
    assert len(log("token_refused")) == 1


async def test_a_header_that_no_server_should_read_is_refused(start: Start) -> None:
    assert await status(await start(*KEYS), "a" * 100_000) == 400


async def test_a_key_of_the_settings_is_never_logged(start: Start, log: Any) -> None:
    client = await start(*KEYS)
    await status(client, forge({"alg": "HS256", "kid": "rs-1"}, public(RSA).encode()))
    text = json.dumps(log())
    assert "token_refused" in text
    assert OLD not in text
    assert "BEGIN" not in text
