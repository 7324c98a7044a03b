"""Why an object does not get ready: what its conditions, its pods and the events say."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.offline_provider.cluster.api import Api, ApiError, UnreachableError
from infra.offline_provider.cluster.discovery import Discovery, UnknownKindError
from infra.offline_provider.objects import Object, name, namespace

MAX_PODS: Final = 3  # ten replicas of one mistake say the same ten times
MAX_EVENTS: Final = 5
MAX_LINE: Final = 500  # admission webhooks and schedulers of large clusters write novels
LIST_LIMIT: Final = "500"  # the API server's own page size; older warnings are no help anyway
BAD_CONDITIONS: Final = frozenset({"ReplicaFailure", "FailureTarget", "Failed"})
"""Conditions that are bad when they hold; most others are bad when they don't."""


class Neighbours:
    """Lists what belongs to an object. What may not be read is not there."""

    def __init__(self, api: Api, discovery: Discovery) -> None:
        self._api = api
        self._discovery = discovery

    def related(
        self, obj: Object, api_version: str, kind: str, query: Mapping[str, str]
    ) -> list[Object]:
        """Return the objects of this kind in the object's namespace that match the query."""
        try:
            resource = self._discovery.resource(api_version, kind)
            listing = self._api.get(resource.path(namespace(obj)), limit=LIST_LIMIT, **query)
        except (ApiError, UnknownKindError, UnreachableError):
            return []
        return list(listing.get("items") or [])

    def reasons(self, obj: Object) -> list[str]:
        """Return what a person would look up with kubectl describe."""
        selector = _selector(obj)
        pods = self.related(obj, "v1", "Pod", selector) if selector else []
        sets = self.related(obj, "apps/v1", "ReplicaSet", selector) if selector else []
        lines = [*_conditions(obj)]
        unready = [line for pod in pods if (line := _pod_line(pod))]
        lines += unready[:MAX_PODS]
        if len(unready) > MAX_PODS:
            lines.append(f"and {len(unready) - MAX_PODS} more pods that are not ready")
        lines += self._warnings(obj, [obj, *sets, *pods])
        return [textwrap.shorten(line, MAX_LINE) for line in lines]

    def _warnings(self, obj: Object, about: list[Object]) -> list[str]:
        uids = {each["metadata"].get("uid") for each in about}
        events = self.related(obj, "v1", "Event", {"fieldSelector": "type=Warning"})
        ours = [event for event in events if event["involvedObject"].get("uid") in uids]
        ours.sort(key=_when)
        lines = [
            f"event of {event['involvedObject'].get('kind')} {event['involvedObject'].get('name')}:"
            f" {event.get('reason')}: {event.get('message')}"
            for event in ours
        ]
        return list(dict.fromkeys(lines))[-MAX_EVENTS:]


def _selector(obj: Object) -> dict[str, str]:
    """Return the query for the pods that the object looks after; empty if it has none."""
    spec = obj.get("spec") or {}
    found = spec.get("selector")
    if obj.get("kind") == "Pod":
        return {}
    labels = found.get("matchLabels", found) if isinstance(found, dict) else None
    plain = isinstance(labels, dict) and all(isinstance(text, str) for text in labels.values())
    if not labels or not plain:
        return {}
    return {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())}


def _conditions(obj: Object) -> Iterator[str]:
    for found in (obj.get("status") or {}).get("conditions") or []:
        bad = (found.get("status") == "True") == (found.get("type") in BAD_CONDITIONS)
        if bad and found.get("message"):
            yield f"{found['type']} is {found['status']}: {found['message']}"


def _pod_line(pod: Object) -> str:
    """Return what keeps a pod from being ready, or nothing when it is."""
    status = pod.get("status") or {}
    by_type = {found["type"]: found for found in status.get("conditions") or []}
    ready = by_type.get("Ready", {}).get("status") == "True"
    if ready or status.get("phase") == "Succeeded":
        return ""
    scheduled = by_type.get("PodScheduled", {})
    said = [*_containers(status)]
    if scheduled.get("status") == "False":
        said.append(str(scheduled.get("message") or scheduled.get("reason")))
    if not said and status.get("message"):
        said.append(str(status["message"]))
    return f"pod {name(pod)} is {status.get('phase', 'Pending')}: " + (
        "; ".join(said) or "not ready yet"
    )


def _containers(status: Mapping[str, Any]) -> Iterator[str]:
    both = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    for container in both:
        states = (container.get("state") or {}, container.get("lastState") or {})
        for found in (_ended_badly(state) for state in states):
            if found:
                yield f"container {container['name']}: {found}"
                break


def _ended_badly(state: Mapping[str, Any]) -> str:
    """Return why a container does not run, or nothing."""
    for kind in ("waiting", "terminated"):
        found = state.get(kind) or {}
        if found and found.get("exitCode", 1) != 0:
            code = f" (exit code {found['exitCode']})" if "exitCode" in found else ""
            parts = [str(found[key]) for key in ("reason", "message") if found.get(key)]
            return ": ".join(parts) + code
    return ""


def _when(event: Object) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")
