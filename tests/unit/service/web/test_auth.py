"""Bearer tokens over real HTTP: what is accepted, and that refusals tell nothing."""

import base64
import json
import time
from typing import Any

import jwt
import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from service.metrics import Metrics
from service.settings import Settings
from service.web import app_factory, auth
from service.web.auth import Authenticator
from service.web.endpoint import add_endpoints
from service.web.problem import problems
from tests.unit.service.web.sample_api import Client, Connect, Slow, in_memory, table

PATH = "/v1/things/0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13/receipt"
INVALID = 'Bearer realm="coinslot", error="invalid_token"'


async def ask(client: Client, authorization: str | None) -> tuple[int, dict[str, Any], str]:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with client.get(PATH, headers=headers) as answer:
        challenge = answer.headers.get("WWW-Authenticate", "")
        return answer.status, json.loads(await answer.read()), challenge


def unsigned(header: bytes, payload: bytes = b"{}", signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload))
    return ".".join((*parts, signature))


@pytest.mark.parametrize("prefix", ["Bearer ", "bearer ", "BEARER ", "Bearer  ", " Bearer "])
async def test_a_good_token_is_accepted(client: Client, token: Any, prefix: str) -> None:
    status, answer, challenge = await ask(client, prefix + token())
    assert (status, answer["said"][1], challenge) == (200, "receipt", "")


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Basic dTpw", "BearerX abc", "Token abc", ""]
)
async def test_without_a_bearer_token_the_challenge_names_no_error(
    client: Client, authorization: str | None
) -> None:
    status, problem, challenge = await ask(client, authorization)
    assert (status, problem["code"]) == (401, "unauthenticated")
    assert challenge == 'Bearer realm="coinslot"'


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "u" * 129},
        {"sub": "user\n1"},
        {"sub": "user\0"},
        {"aud": "another-api"},
        {"aud": None},
        {"iss": "another-issuer"},
        {"iss": None},
        {"nbf": 9_000_000_000, "exp": 9_999_999_999},
        {"scope": ["things:read"]},
        {"key": "x" * 32},
        {"key": "k" * 64, "algorithm": "HS512"},
    ],
    ids=str,
)
async def test_a_wrong_token_is_refused_without_a_reason(
    client: Client, token: Any, log: Any, changes: dict[str, Any]
) -> None:
    status, problem, challenge = await ask(client, f"Bearer {token(**changes)}")
    assert (status, challenge) == (401, INVALID)
    assert problem["detail"] == problem["title"] == "Send a valid bearer token"
    assert len(log("token_refused")) == 1
    assert log("library_log") == []


@pytest.mark.parametrize(
    ("claim", "ahead_s", "status"),
    [
        ("iat", 1, 200), ("iat", 25, 200), ("iat", 45, 401),
        ("nbf", 1, 200), ("nbf", 25, 200), ("nbf", 45, 401),
        ("exp", -1, 200), ("exp", -25, 200), ("exp", -45, 401),
    ],
)  # fmt: skip
async def test_the_issuers_clock_may_differ_by_the_leeway(
    client: Client, token: Any, claim: str, ahead_s: float, status: int
) -> None:
    changes = {claim: int(time.time() + ahead_s)}
    assert (await ask(client, f"Bearer {token(**changes)}"))[0] == status


@pytest.mark.parametrize(
    "changes",
    [{"aud": "another-api"}, {"iss": "another-issuer"}, {"key": "x" * 32}, {"sub": None}],
    ids=str,
)
async def test_leeway_forgives_time_and_nothing_else(
    client: Client, token: Any, changes: dict[str, Any]
) -> None:
    bad = token(iat=int(time.time()) + 5, **changes)
    assert (await ask(client, f"Bearer {bad}"))[0] == 401


async def test_without_leeway_a_second_counts(
    slow: Slow, aiohttp_client: Connect, settings: Settings, token: Any
) -> None:
    strict = msgspec.structs.replace(settings, jwt_leeway_s=0.0)
    client = await aiohttp_client(
        app_factory.build(strict, Metrics(version="1", role="api"), table(slow), quotas=in_memory())
    )
    now = int(time.time())
    tried = [token(), token(iat=now + 5), token(nbf=now + 5), token(exp=now - 5)]
    assert [(await ask(client, f"Bearer {each}"))[0] for each in tried] == [200, 401, 401, 401]


@pytest.mark.parametrize("apart_s", [-300, 300])
async def test_the_machines_clock_does_not_count(
    slow: Slow, aiohttp_client: Connect, settings: Settings, token: Any, apart_s: float
) -> None:
    """What is right by the service's clock is taken, and nothing else."""
    now = time.time() + apart_s
    app = web.Application(middlewares=[problems])
    add_endpoints(app, table(slow), Authenticator(settings, now=lambda: now))
    client = await aiohttp_client(app)
    right = token(iat=int(now), nbf=int(now), exp=int(now) + 60)
    by_the_machine = token(iat=int(time.time()), nbf=int(time.time()), exp=int(time.time()) + 60)
    assert (await ask(client, f"Bearer {right}"))[0] == 200
    assert (await ask(client, f"Bearer {by_the_machine}"))[0] == 401


def rsa_token() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return jwt.encode({"sub": "user-1", "exp": time.time() + 60}, pem, algorithm="RS256")


@pytest.mark.parametrize(
    "make",
    [
        lambda: unsigned(b'{"alg":"none","typ":"JWT"}', b'{"sub":"user-1","exp":9999999999}'),
        lambda: unsigned(b'{"alg":"None"}', b'{"sub":"user-1","exp":9999999999}'),
        lambda: unsigned(b"[" * 3_000),
        lambda: unsigned(b'{"alg":"HS256","crit":["a\\r\\nX-Evil: 1"],"a\\r\\nX-Evil: 1":1}'),
        lambda: unsigned(b'{"alg":["HS256"]}'),
        lambda: unsigned(b'{"alg":"HS256","b64":false}', b"x", "eA"),
        lambda: unsigned(b"\xff\xfe"),
        rsa_token,
        lambda: "abc",
        lambda: "....",
        lambda: "\u00fc.\u00fc.\u00fc",
        lambda: "a b c",
    ],
    ids=[
        "alg none", "alg None", "deep header", "header injection", "alg a list", "b64 false",
        "no utf-8", "RS256", "no dots", "dots only", "no ascii", "blanks",
    ],
)  # fmt: skip
async def test_a_hostile_token_is_refused(client: Client, log: Any, make: Any) -> None:
    status, problem, challenge = await ask(client, f"Bearer {make()}")
    assert (status, problem["code"], challenge) == (401, "unauthenticated", INVALID)
    assert log("unexpected_error") == []


async def test_two_authorization_headers_are_none(client: Client, bearer: dict[str, str]) -> None:
    async with client.get(PATH, headers=[*bearer.items(), *bearer.items()]) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("scope", [None, "", "things", "things:read:all", "things:write"])
async def test_a_missing_scope_is_403(
    client: Client, token: Any, log: Any, scope: str | None
) -> None:
    status, problem, challenge = await ask(client, f"Bearer {token(scope=scope)}")
    assert (status, problem["code"]) == (403, "scope_missing")
    assert challenge == ('Bearer realm="coinslot", error="insufficient_scope", scope="things:read"')
    assert [line["user_id"] for line in log("scope_missing")] == ["user-1"]


async def test_a_token_is_never_logged(client: Client, token: Any, log: Any) -> None:
    good, bad = token(), token(key="x" * 32)
    await ask(client, f"Bearer {good}")
    await ask(client, f"Bearer {bad}")
    text = json.dumps(log())
    assert "token_refused" in text
    assert good not in text
    assert bad not in text
    assert good.rsplit(".", 1)[1] not in text


async def test_the_user_is_on_the_access_line(client: Client, token: Any, log: Any) -> None:
    await ask(client, f"Bearer {token()}")
    assert [line["user_id"] for line in log("http_request")] == ["user-1"]


class TestCache:
    async def test_a_remembered_token_is_verified_again_when_it_has_expired(
        self,
        settings: Settings,
        slow: Slow,
        aiohttp_client: Connect,
        token: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        clock = [time.time()]
        app = web.Application(middlewares=[problems])
        add_endpoints(app, table(slow), Authenticator(settings, now=lambda: clock[0]))
        client = await aiohttp_client(app)
        verified = count_verifications(monkeypatch)
        header = f"Bearer {token(exp=clock[0] + 60)}"
        await ask(client, header)
        clock[0] += 59 + settings.jwt_leeway_s
        await ask(client, header)
        assert verified == [1]
        clock[0] += 2
        assert (await ask(client, header))[0] == 401
        assert verified == [1, 1]

    async def test_a_remembered_token_is_not_verified_again(
        self, client: Client, token: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verified = count_verifications(monkeypatch)
        header = f"Bearer {token()}"
        for _ in range(3):
            assert (await ask(client, header))[0] == 200
        assert verified == [1]

    async def test_refused_tokens_are_not_remembered(
        self, client: Client, token: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verified = count_verifications(monkeypatch)
        header = f"Bearer {token(key='x' * 32)}"
        for _ in range(2):
            assert (await ask(client, header))[0] == 401
        assert verified == [1, 1]

    async def test_it_is_bounded_and_forgets_the_longest_unused(
        self, client: Client, token: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(auth, "CACHED_TOKENS", 2)
        first, second, third = (f"Bearer {token(sub=name)}" for name in "abc")
        for header in (first, second, first, third):
            await ask(client, header)
        verified = count_verifications(monkeypatch)
        await ask(client, first)
        assert verified == []
        await ask(client, second)
        assert verified == [1]


def count_verifications(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what reaches the library."""
    counted: list[int] = []
    decode = jwt.decode

    def counting(*args: Any, **options: Any) -> Any:
        counted.append(1)
        return decode(*args, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    return counted
