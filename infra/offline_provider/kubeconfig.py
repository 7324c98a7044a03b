"""Which cluster is meant: a kubeconfig's path or content, one of its contexts, a namespace.

The rules are those of kubectl and of the official provider: an explicit kubeconfig, else
KUBECONFIG (one or more paths), else ~/.kube/config, else the service account of the pod that this
runs in. Earlier files win.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from infra.offline_provider.settings import ProviderSettings, ProviderSettingsError

DEFAULT_PATH: Final = "~/.kube/config"
VARIABLE: Final = "KUBECONFIG"
POD_VARIABLE: Final = "KUBERNETES_SERVICE_HOST"
FILE_KEYS: Final = (
    "certificate-authority",
    "client-certificate",
    "client-key",
    "tokenFile",
)
"""Keys whose value is a path, relative to the file that holds it."""


@dataclass(frozen=True, slots=True)
class Access:
    """One context of a kubeconfig. `config` is None for a pod's own service account."""

    config: dict[str, Any] | None
    context: str
    server: str
    namespace: str


def find(settings: ProviderSettings, environ: Mapping[str, str] = os.environ) -> Access:
    """Return the way to the cluster; raise ProviderSettingsError, naming what is missing."""
    where, parts = _parts(settings.kubeconfig, environ)
    if not parts:
        if POD_VARIABLE in environ:
            return Access(None, "", "the pod's own cluster", settings.namespace or "default")
        raise ProviderSettingsError(
            f"no kubeconfig: {where} is not there; set kubernetes:kubeconfig or {VARIABLE}"
        )
    config = _merged(parts)
    chosen = settings.context or config.get("current-context") or ""
    context = _named(config, "context", chosen, where)
    cluster = _named(config, "cluster", context.get("cluster", ""), where)
    if not cluster.get("server"):
        raise ProviderSettingsError(f"{where}: the cluster of context {chosen!r} has no server")
    namespace = settings.namespace or context.get("namespace") or "default"
    return Access({**config, "current-context": chosen}, chosen, cluster["server"], namespace)


def _parts(given: str, environ: Mapping[str, str]) -> tuple[str, list[dict[str, Any]]]:
    """Return what to call the kubeconfig, and the documents it consists of."""
    if given.lstrip().startswith("{") or "\n" in given:
        return "kubeconfig", [_document(given, "kubeconfig", Path.cwd())]
    text = given or environ.get(VARIABLE) or DEFAULT_PATH
    paths = [Path(part).expanduser() for part in text.split(os.pathsep) if part]
    there = [path for path in paths if path.is_file()]
    if given and not there:
        raise ProviderSettingsError(f"kubeconfig: there is no file {given}")
    return text, [_document(path.read_text("utf-8"), str(path), path.parent) for path in there]


def _document(text: str, where: str, folder: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""  # the text itself may hold a token
        raise ProviderSettingsError(f"{where} is no YAML{line}") from None
    if not isinstance(document, dict):
        raise ProviderSettingsError(f"{where} is neither a kubeconfig's content nor a file's path")
    for entry in _entries(document, "cluster") + _entries(document, "user"):
        for key in FILE_KEYS:
            if entry.get(key):
                entry[key] = str(folder.absolute() / entry[key])
    return document


def _entries(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item[kind] for item in document.get(f"{kind}s") or [] if item.get(kind)]


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if isinstance(value, list):
                known = {item["name"] for item in merged.setdefault(key, [])}
                merged[key] += [item for item in value if item["name"] not in known]
            elif value and not merged.get(key):
                merged[key] = value
    return merged


def _named(config: Mapping[str, Any], kind: str, name: str, where: str) -> dict[str, Any]:
    """Return the context or cluster of this name."""
    items = {item["name"]: item.get(kind) or {} for item in config.get(f"{kind}s") or []}
    if not name:
        raise ProviderSettingsError(f"{where} has no current-context: set kubernetes:context")
    if name not in items:
        known = ", ".join(sorted(items)) or "none"
        raise ProviderSettingsError(f"{where} has no {kind} {name!r}; it has: {known}")
    found: dict[str, Any] = items[name]
    return found
