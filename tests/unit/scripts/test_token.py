"""Development tokens: whose secret signs them, and what they claim."""

import os
from pathlib import Path

import jwt
import pytest

from scripts.platform import token

SECRET = "s" * 32


def claims(encoded: str, secret: str = SECRET) -> dict[str, object]:
    decoded: dict[str, object] = jwt.decode(
        encoded, secret, algorithms=["HS256"], audience="coinslot-api", issuer="coinslot"
    )
    return decoded


def test_a_token_claims_what_the_service_asks_for() -> None:
    made = claims(token.make(SECRET, "u1", "payments:read payments:write", ttl_s=60, environ={}))
    issued, expires = made.pop("iat"), made.pop("exp")
    assert isinstance(issued, int)
    assert expires == issued + 60
    assert made == {
        "sub": "u1",
        "scope": "payments:read payments:write",
        "iss": "coinslot",
        "aud": "coinslot-api",
    }


def test_issuer_and_audience_follow_the_services_settings() -> None:
    environ = {"JWT_ISSUER": "other", "JWT_AUDIENCE": "shop"}
    encoded = token.make(SECRET, "u1", "", environ=environ)
    assert jwt.decode(encoded, SECRET, algorithms=["HS256"], audience="shop", issuer="other")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    made = token.ensure_secret(tmp_path)
    assert token.find_secret({}, tmp_path) == made
    assert token.find_secret({"JWT_SECRET": SECRET}, tmp_path) == SECRET


def test_a_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = token.ensure_secret(tmp_path / "dev")
    assert token.ensure_secret(tmp_path / "dev") == first
    assert (tmp_path / "dev/jwt-secret").stat().st_mode & 0o777 == 0o600
    assert token.ensure_secret(tmp_path / "another") != first


def test_without_a_secret_the_remedy_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})
    assert token.main(["--user", "u1", "--folder", str(tmp_path)]) == 1
    message = capsys.readouterr()
    assert message.out == ""
    assert "jwt-secret is made by the first `make dev`" in message.err


def test_the_command_prints_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"JWT_SECRET": SECRET})
    code = token.main(["--user", "u1", "--scopes", "a b", "--ttl", "5", "--folder", str(tmp_path)])
    assert code == 0
    assert claims(capsys.readouterr().out.strip())["scope"] == "a b"
