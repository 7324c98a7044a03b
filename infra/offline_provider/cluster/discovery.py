"""Kinds and their paths, as the API server tells them: `Deployment` lives at `deployments`."""

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from infra.offline_provider import objects
from infra.offline_provider.cluster.api import (
    NOT_FOUND,
    Api,
    ApiError,
    UnreachableError,
    path_segment,
)
from infra.offline_provider.objects import Object

SILENCE_S: Final = 10.0
"""How long a cluster that did not answer is not asked again: twice the time of one try."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the objects of a kind are: below `prefix`, as `plural`."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of an object, or of all of a namespace, or of all."""
        parts = [self.prefix]
        if self.namespaced and namespace:
            parts += ["namespaces", path_segment(namespace)]
        parts.append(self.plural)
        if name:
            parts.append(path_segment(name))
        return "/".join(parts)

    def path_of(self, obj: Object) -> str:
        """Return the path of this object."""
        return self.path(objects.namespace(obj), objects.name(obj))


class UnknownKindError(Exception):
    """The cluster has no such kind."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f"the cluster has no kind {kind} in {api_version}")


class Discovery:
    """Asks once for each group and version, and again when a kind is not there yet."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Resource]] = {}
        self._silent_until = 0.0
        self._silence: UnreachableError | None = None

    def resource(self, api_version: str, kind: str) -> Resource:
        """Return where this kind lives; raise UnknownKindError."""
        with self._lock:  # so that sixteen objects of a group ask once
            found = self._known.get(api_version, {}).get(kind)
            if found is None:
                self._known[api_version] = self._ask(api_version)
                found = self._known[api_version].get(kind)
        if found is None:
            raise UnknownKindError(api_version, kind)
        return found

    def of(self, obj: Object) -> Resource:
        """Return where this object's kind lives."""
        return self.resource(str(obj["apiVersion"]), str(obj["kind"]))

    def _ask(self, api_version: str) -> dict[str, Resource]:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if self._silence and time.monotonic() < self._silent_until:
            raise self._silence
        try:
            listing = self._api.get(prefix)
        except UnreachableError as error:
            # Forty objects need not wait for one dead cluster one after the other.
            self._silence, self._silent_until = error, time.monotonic() + SILENCE_S
            raise
        except ApiError as error:
            if error.code == NOT_FOUND:
                return {}
            raise
        return {
            item["kind"]: Resource(prefix, item["name"], item["namespaced"])
            for item in _objects(listing)
        }


def _objects(listing: Object) -> list[dict[str, Any]]:
    """Return a listing's resources without subresources such as `deployments/scale`."""
    return [item for item in listing.get("resources") or [] if "/" not in item["name"]]
