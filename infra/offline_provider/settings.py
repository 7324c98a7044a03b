"""The provider's own configuration: the arguments of `kubernetes.Provider` in the program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RENDER_KEY: Final = "renderYamlToDirectory"
CLUSTER_KEYS: Final = ("cluster", "context", "kubeconfig")
REACHING_KEYS: Final = ("context", "kubeconfig")
"""Keys that may lead to another cluster."""
VARIABLE_PREFIX: Final = "kubernetes:config:"

UNSUPPORTED: Final[Mapping[str, str]] = {
    "cluster": "name a context of the kubeconfig instead",
    "clusterIdentifier": "the API server's address tells clusters apart",
    "deleteUnreachable": "the cluster has to answer",
    "enableReplaceCRD": "a CustomResourceDefinition is updated in place",
    "helmReleaseSettings": "there are no Helm releases here",
    "kubeClientSettings": "its limits are built in",
    "skipUpdateUnreachable": "the cluster has to answer",
}
"""Arguments of the official provider that this one can't follow, and what holds instead."""


class ProviderSettingsError(ValueError):
    """The configuration asks for what this provider can't do; the message says what can."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """Where the objects go: to `directory` if there is one, else to a cluster."""

    directory: Path | None
    mutable_content: frozenset[str]
    """Kinds whose data may change in place."""
    kubeconfig: str = ""
    """A kubeconfig's path or content; empty: the environment's."""
    context: str = ""
    namespace: str = ""
    """Where objects go that name none; empty: what the context says."""
    force: bool = False
    """Take fields over from whoever owns them."""
    upsert: bool = False
    """Take over objects that are there already."""


def _refuse_unsupported(value: Callable[[str], str]) -> None:
    for key, instead in UNSUPPORTED.items():
        if value(key) not in ("", "false"):
            raise ProviderSettingsError(f"the offline provider does not know {key}: {instead}")
    if value("enableServerSideApply") == "false":
        raise ProviderSettingsError(
            "the offline provider only knows server-side apply: leave enableServerSideApply out"
        )


def from_variables(variables: Mapping[str, str]) -> ProviderSettings:
    """Read what the engine's Configure call brings; raise ProviderSettingsError."""

    def value(key: str) -> str:
        return variables.get(VARIABLE_PREFIX + key, "")

    kinds = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
    directory = value(RENDER_KEY)
    if not directory:
        _refuse_unsupported(value)
    return ProviderSettings(
        directory=Path(directory) if directory else None,
        mutable_content=frozenset(kind for kind, key in kinds.items() if value(key) == "true"),
        kubeconfig=value("kubeconfig"),
        context=value("context"),
        namespace=value("namespace"),
        force=value("enablePatchForce") == "true",
        upsert=value("upsertExistingObjects") == "true",
    )


def from_arguments(arguments: Mapping[str, object]) -> ProviderSettings:
    """Read the program's arguments, in plain values, as far as they lead to a cluster."""
    texts = {VARIABLE_PREFIX + key: str(arguments.get(key) or "") for key in REACHING_KEYS}
    return from_variables(texts)


def conflicts(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """Return the arguments that can't be set together with rendering."""
    if not arguments.get(RENDER_KEY):
        return ()
    return tuple(key for key in CLUSTER_KEYS if arguments.get(key))
