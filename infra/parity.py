"""How staging differs from prod, and why; what is not declared here is an accident.

What runs in staging proves something about prod only as far as the two are the same. So every
difference, of a setting and of a field of an object, is declared with its reason, once.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from infra import labels
from infra.policy.objects import Object, Stack, title
from infra.review.fields import ABSENT, differences
from infra.sections import StackConfig

SETTINGS: Final = "settings"
"""Where differences of a stack's file stand; those of objects stand under the object's title."""
OWN_NAME: Final = re.compile(rf"\b{labels.PROJECT}-(staging|prod)\b")
"""A stack's own name is in every object, and says nothing."""
ANY_STACK: Final = labels.namespace_name("*")
CONTENT_HASH: Final = re.compile(r"-[0-9a-f]{8}$")
DERIVED_FIELDS: Final = (
    "stack",
    "environment",
    "service",
    "render_directory",
    "settings",
    "secret_values",
)
"""Fields that follow from the stack's name, or are compared by what they amount to."""
SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Expected:
    """Differences that have one reason; `places` and `paths` are patterns with `*`."""

    places: tuple[str, ...]
    paths: tuple[str, ...]
    reason: str

    def covering(self, place: str, path: str) -> str | None:
        """Return the pattern of the path that covers a difference, or None."""
        if not any(fnmatchcase(place, pattern) for pattern in self.places):
            return None
        return next((p for p in self.paths if fnmatchcase(_plain(path), p)), None)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that staging and prod do not share; ABSENT where there is none."""

    place: str
    path: str
    staging: Any
    prod: Any
    reason: str | None = None
    """None if nobody has declared it."""

    def __str__(self) -> str:
        where = f"{self.place} {self.path}".rstrip()
        return f"{where}: {_shown(self.staging)} → {_shown(self.prod)}"


DEPLOYMENTS: Final = ("Deployment *",)
PODS: Final = ("Deployment *", "Job *")

EXPECTED: Final[tuple[Expected, ...]] = (
    Expected(
        ("ConfigMap coinslot-config-*", SETTINGS),
        ("data.ENVIRONMENT", "settings.environment"),
        "The stack's own name, in logs and metrics.",
    ),
    Expected(
        (*DEPLOYMENTS, SETTINGS),
        ("*.resources.requests.*", "*.resources.limits.*"),
        "Prod carries the load; staging carries tests with half the memory.",
    ),
    Expected(
        ("NetworkPolicy coinslot-allow-database", "NetworkPolicy coinslot-allow-cache", SETTINGS),
        ("spec.egress*", "network.database*", "network.cache*"),
        "Each stack has a database and a cache of its own, in networks of their own.",
    ),
    Expected(
        ("NetworkPolicy coinslot-allow-services", SETTINGS),
        ("spec.egress*", "network.services.simulator*", "network.services.stripe*"),
        "Only staging reaches the simulator, and only prod reaches Stripe.",
    ),
    Expected(
        ("ConfigMap coinslot-config-*", SETTINGS),
        (
            "data.PROVIDERS",
            "data.DEFAULT_PROVIDER",
            "data.SIMULATOR_URL",
            "settings.providers",
            "settings.default_provider",
            "settings.simulator_url",
        ),
        "Staging pays with simulated money, so that load and fault tests cost nothing.",
    ),
    Expected(
        (*PODS, SETTINGS),
        ("spec.template.spec.priorityClassName", "priorityClass"),
        "When a node of the shared cluster is full, staging goes first.",
    ),
    Expected(
        PODS,
        (
            "spec.template.metadata.annotations.coinslot.dev/config-checksum",
            "spec.template.spec.containers.*.envFrom*",
            "spec.template.spec.containers.*.env.SIMULATOR_*",
            "spec.template.spec.containers.*.env.STRIPE_*",
        ),
        "Follows from the settings: their checksum, and the secrets of the providers in use.",
    ),
)


def compare(
    staging: tuple[StackConfig, Stack],
    prod: tuple[StackConfig, Stack],
    expected: Sequence[Expected] = EXPECTED,
) -> tuple[list[Difference], list[str]]:
    unused = {path: entry for entry in expected for path in entry.paths}
    explained = []
    for found in (*_settings(staging[0], prod[0]), *_objects(staging[1], prod[1])):
        reason = None
        for entry in expected:
            if path := entry.covering(found.place, found.path):
                unused.pop(path, None)
                reason = reason or entry.reason
        explained.append(replace(found, reason=reason))
    return explained, [f"{path}: {entry.reason}" for path, entry in unused.items()]


def _settings(staging: StackConfig, prod: StackConfig) -> Iterator[Difference]:
    for change in differences(_effective(staging), _effective(prod)):
        yield Difference(SETTINGS, change.path, change.before, change.after)


def _effective(config: StackConfig) -> dict[str, Any]:
    """Return all settings with their defaults, those of the service by what they amount to."""
    kept = {
        field.encode_name: msgspec.to_builtins(getattr(config, field.name))
        for field in msgspec.structs.fields(config)
        if field.name not in DERIVED_FIELDS
    }
    return {**kept, SETTINGS: {name.lower(): text for name, text in config.environment.items()}}


def _objects(staging: Stack, prod: Stack) -> Iterator[Difference]:
    ours, theirs = _by_title(staging), _by_title(prod)
    for name in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get(name), theirs.get(name)
        if before is None or after is None:
            yield Difference(name, "", _presence(before), _presence(after))
            continue
        for change in differences(before, after):
            yield Difference(name, change.path, change.before, change.after)


def _by_title(stack: Stack) -> dict[str, Any]:
    found = {}
    for obj in stack.objects:
        plain = json.loads(OWN_NAME.sub(ANY_STACK, json.dumps(obj)))
        if plain["kind"] == "Job" or labels.KEPT in plain["metadata"].get("labels", {}):
            plain["metadata"]["name"] = CONTENT_HASH.sub("-*", plain["metadata"]["name"])
        found[title(plain)] = plain
    return found


def _presence(obj: Object | None) -> Any:
    return ABSENT if obj is None else "there"


def _plain(path: str) -> str:
    """Return a path with dots in place of brackets, which a pattern reads as a set of letters."""
    return path.replace("[", ".").replace("]", "")


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
