"""Asks a registry which bytes a tag means today: the HTTP API V2 of image registries.

https://distribution.github.io/distribution/spec/auth/token/ describes the token that also public
images need.
"""

import ipaddress
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import Final

DEFAULT_REGISTRY: Final = "registry-1.docker.io"
"""Who is asked for an image whose name begins with no host."""
TIMEOUT_S: Final = 15.0  # an answer has some hundred bytes
TOKEN_LIMIT_BYTES: Final = 65_536
UNAUTHORIZED: Final = 401
KINDS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Lists of manifests first: the digest of one machine's manifest would be of no use to others."""
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(Exception):
    """A registry can't be asked or doesn't know the image; the message says which and why."""


@dataclass(frozen=True)
class Reference:
    """An image by registry, name there and tag."""

    registry: str
    name: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read `[registry/]name[:tag][@digest]`, as Docker does."""
        path, _, tag = text.partition("@")[0].rpartition(":")
        if not path or "/" in tag:  # what follows the colon is a port
            path, tag = text.partition("@")[0], "latest"
        first, slash, rest = path.partition("/")
        if slash and (first == "localhost" or "." in first or ":" in first):
            return cls(first, rest, tag)
        return cls(DEFAULT_REGISTRY, path if slash else f"library/{path}", tag)

    @property
    def url(self) -> str:
        """Return where the manifest is; a registry of this machine needs no TLS, as for Docker."""
        host = urllib.parse.urlsplit(f"//{self.registry}").hostname or ""
        scheme = "http" if _is_loopback(host) else "https"
        return f"{scheme}://{self.registry}/v2/{self.name}/manifests/{self.tag}"


def digest(text: str) -> str:
    """Return the digest, `sha256:…`, that the registry has for an image; raise RegistryError."""
    reference = Reference.parse(text)
    headers = {"Accept": ", ".join(KINDS)}
    try:
        try:
            found = _head(reference.url, headers)
        except urllib.error.HTTPError as refused:
            if refused.code != UNAUTHORIZED:
                raise
            token = _token(refused.headers.get("WWW-Authenticate", ""), reference)
            found = _head(reference.url, {**headers, "Authorization": f"Bearer {token}"})
    except (OSError, ValueError) as error:
        raise RegistryError(f"{reference.registry} has no answer for {text}: {error}") from error
    given = found.get("Docker-Content-Digest", "")
    if not DIGEST.fullmatch(given):
        raise RegistryError(f"{reference.registry} gives no digest of {text}, but {given!r}")
    return given


def _head(url: str, headers: dict[str, str]) -> Message:
    request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310  as above
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        found: Message = answer.headers
    return found


def _token(challenge: str, reference: Reference) -> str:
    """Get the token for which a registry asks, without an account; raise ValueError or OSError."""
    asked = dict(CHALLENGE.findall(challenge))
    realm = asked.pop("realm", "")
    if not realm.startswith(f"{reference.url.partition('//')[0]}//"):
        raise ValueError(f"it asks for a sign-in that is no token: {challenge!r}")
    url = f"{realm}?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  http or https
        given = json.loads(answer.read(TOKEN_LIMIT_BYTES))
    token = given.get("token") or given.get("access_token")
    if not token:
        raise ValueError(f"{realm} gave no token")
    return str(token)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
