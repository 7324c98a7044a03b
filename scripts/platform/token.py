"""Print a bearer token that the service of `make dev` accepts.

    python -m scripts.platform.token --user u1 --scopes "payments:read payments:write"

JWT_SECRET signs it if set; otherwise the secret that `make dev` has made.
"""

import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import jwt
import msgspec

from scripts import ROOT, console
from service.jwt_keys import MIN_HS256_KEY_BYTES
from service.settings import Settings

DEV_FOLDER: Final = ROOT / ".state" / "dev"
SECRET_FILE: Final = "jwt-secret"  # noqa: S105  a file's name
DEFAULT_SCOPES: Final = "payments:read payments:write"
DEFAULT_TTL_S: Final = 3_600
ALGORITHM: Final = "HS256"


class TokenError(Exception):
    """No token can be made; the message says what is missing."""


def make(
    secret: str,
    user: str,
    scopes: str,
    *,
    ttl_s: int = DEFAULT_TTL_S,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return a token for `user` with the space-separated `scopes`, valid from now on."""
    now = int(time.time())
    claims = {
        "sub": user,
        "scope": scopes,
        "iss": environ.get("JWT_ISSUER") or _default("jwt_issuer"),
        "aud": environ.get("JWT_AUDIENCE") or _default("jwt_audience"),
        "iat": now,
        "exp": now + ttl_s,
    }
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def ensure_secret(folder: Path) -> str:
    path = folder / SECRET_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(MIN_HS256_KEY_BYTES))
    return path.read_text().strip()


def find_secret(environ: Mapping[str, str], folder: Path) -> str:
    if secret := environ.get("JWT_SECRET", "").strip():
        return secret
    try:
        return (folder / SECRET_FILE).read_text().strip()
    except FileNotFoundError:
        raise TokenError(
            f"there is no secret yet: {folder / SECRET_FILE} is made by the first `make dev`; "
            "start that, or set JWT_SECRET to the service's secret"
        ) from None


def _default(setting: str) -> str:
    return str(next(f.default for f in msgspec.structs.fields(Settings) if f.name == setting))


@console.command("token", failed=(TokenError,))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.platform.token", __doc__)
    add = parser.add_argument
    add("--user", required=True, help="the user id, the token's `sub`")
    add("--scopes", default=DEFAULT_SCOPES, help="space-separated (%(default)s)")
    add("--ttl", type=int, default=DEFAULT_TTL_S, metavar="SECONDS", help="(%(default)s)")
    add("--folder", type=Path, default=DEV_FOLDER, help="of `make dev` (%(default)s)")
    options = parser.parse_args(arguments)
    secret = find_secret(os.environ, options.folder)
    print(make(secret, options.user, options.scopes, ttl_s=options.ttl))
    return 0


if __name__ == "__main__":
    sys.exit(main())
