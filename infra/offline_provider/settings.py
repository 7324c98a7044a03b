"""The provider's own configuration: the arguments of `kubernetes.Provider` in the program."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RENDER_KEY: Final = "renderYamlToDirectory"
CLUSTER_KEYS: Final = ("cluster", "context", "kubeconfig")
VARIABLE_PREFIX: Final = "kubernetes:config:"


class ProviderSettingsError(ValueError):
    """The configuration asks for what this provider can't do; the message says what can."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`directory` is where manifests go; `mutable_content` the kinds whose data may change."""

    directory: Path
    mutable_content: frozenset[str]


def from_variables(variables: Mapping[str, str]) -> ProviderSettings:
    """Read what the engine's Configure call brings; raise ProviderSettingsError."""
    directory = variables.get(VARIABLE_PREFIX + RENDER_KEY, "")
    if not directory:
        raise ProviderSettingsError(
            f"the offline Kubernetes provider only renders: set {RENDER_KEY} (stack key "
            "coinslot:target: render), or install the official plugin to reach a cluster"
        )
    kinds = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
    mutable = (
        kind for kind, key in kinds.items() if variables.get(VARIABLE_PREFIX + key) == "true"
    )
    return ProviderSettings(Path(directory), frozenset(mutable))


def conflicts(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """Return the arguments that can't be set together with rendering."""
    if not arguments.get(RENDER_KEY):
        return ()
    return tuple(key for key in CLUSTER_KEYS if arguments.get(key))
