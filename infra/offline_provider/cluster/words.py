"""What a refusal of the API server means, and what its reader can do about it."""

import re
from typing import Final

from infra.offline_provider import objects
from infra.offline_provider.cluster.api import ApiError
from infra.offline_provider.diff import Path
from infra.offline_provider.objects import Object

FORCE_ANNOTATION: Final = "pulumi.com/patchForce"
FORCE_VARIABLE: Final = "PULUMI_K8S_ENABLE_PATCH_FORCE"
"""The SDK turns it into the provider's argument enablePatchForce."""

_FIXED: Final = re.compile(
    r"immutable|may not change|may not be changed|cannot change|"
    r"updates to \w+ (are forbidden|spec for fields other than)|pod updates may not change"
)
"""How Kubernetes says that a field can't change: there is no reason code for it."""
_OWNER: Final = re.compile(r'conflict with "(?P<manager>[^"]+)"')


def label(obj: Object) -> str:
    """Return what to call an object in a message."""
    return f"{obj['kind']} {objects.identity(obj)}"


def fixed_paths(error: ApiError) -> tuple[Path, ...]:
    """Return the paths that the API server refuses to change in place; empty for other errors."""
    return tuple(
        _path(str(cause.get("field", "")))
        for cause in error.causes
        if _FIXED.search(str(cause.get("message", "")))
    )


def is_conflict(error: ApiError) -> bool:
    """Say whether somebody else owns a field that we set."""
    return any(cause.get("reason") == "FieldManagerConflict" for cause in error.causes)


def lacks_namespace(error: ApiError) -> str:
    """Return the namespace that a request named and that is not there, if that is the error."""
    about_it = error.code == 404 and error.details.get("kind") == "namespaces"  # noqa: PLR2004
    return str(error.details.get("name", "")) if about_it else ""


def explain(obj: Object, error: ApiError) -> str:
    """Return the refusal as a sentence with the object, the field and the remedy."""
    name = label(obj)
    if is_conflict(error):
        return _conflict(name, error)
    if missing := lacks_namespace(error):
        return f"{name}: there is no namespace {missing}; make it first (depends_on)"
    if error.code == 401:  # noqa: PLR2004
        return f"{name}: the API server does not accept the kubeconfig's credentials"
    if error.causes:
        faults = [f"{cause.get('field', '')}: {cause.get('message')}" for cause in error.causes]
        remedy = " (only a replacement can change it)" if fixed_paths(error) else ""
        return f"{name} is refused: " + "; ".join(faults) + remedy
    return f"{name} is refused: {error}"


def _conflict(name: str, error: ApiError) -> str:
    owners: dict[str, list[str]] = {}
    for cause in error.causes:
        found = _OWNER.search(str(cause.get("message", "")))
        manager = found["manager"] if found else "somebody else"
        owners.setdefault(manager, []).append(str(cause.get("field", "")).lstrip("."))
    owned = "; ".join(f"{manager} owns {', '.join(fields)}" for manager, fields in owners.items())
    return (
        f"{name}: conflict over fields that this program sets: {owned}. Leave them out of the "
        f'program, or take them over: by the annotation {FORCE_ANNOTATION}: "true", or for all '
        f"objects of one run by {FORCE_VARIABLE}=true"
    )


def _path(field: str) -> Path:
    """Return the path of a field such as `spec.ports[0].port`; list items stand for the list."""
    names = re.match(r"[^\[]*", field)
    return tuple(part for part in names.group().split(".") if part) if names else ()
