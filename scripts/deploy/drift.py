"""What on the cluster is no longer as it was applied: objects and fields, from a refresh's events.

Only fields that were applied count. Defaults, status and what an autoscaler or a server adds are
nobody's drift.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.render_provider.normal import normalise
from infra.render_provider.objects import OWN_KEYS
from infra.review.fields import FieldChange, differences
from infra.review.report import field_lines
from scripts.deploy.engine import Event

REPLICAS: Final = "spec.replicas"
"""Under an autoscaler that is the autoscaler's field."""


@dataclass(frozen=True, slots=True)
class Drift:
    """An object that is gone, or has other fields than were applied."""

    object: str
    gone: bool
    fields: Sequence[FieldChange] = ()

    def lines(self) -> Iterator[str]:
        yield f"- {self.object} is gone" if self.gone else f"~ {self.object} was changed"
        secret = self.object.startswith("Secret ")
        for field in self.fields:
            yield from (f"    {line}" for line in field_lines(field, secret=secret))

    def document(self) -> dict[str, Any]:
        secret = self.object.startswith("Secret ")
        return {
            "object": self.object,
            "gone": self.gone,
            "fields": [
                {"path": field.path}
                if secret
                else {"path": field.path, "applied": field.before, "found": field.after}
                for field in self.fields
            ],
        }


def found(events: Sequence[Event]) -> list[Drift]:
    ended = (event["resOutputsEvent"]["metadata"] for event in events if "resOutputsEvent" in event)
    ours = [resource for resource in ended if str(resource["type"]).startswith("kubernetes:")]
    scaled = set(filter(None, map(_scaled, ours)))
    drifts = (_drift(resource, scaled) for resource in ours)
    return sorted(filter(None, drifts), key=lambda drift: drift.object)


def _scaled(resource: Mapping[str, Any]) -> str:
    """Return what an autoscaler is in charge of, as its kind and name; empty for other objects."""
    inputs = (resource.get("old") or {}).get("inputs") or {}
    target = (inputs.get("spec") or {}).get("scaleTargetRef") or {}
    return f"{target['kind']} {target['name']}" if target else ""


def _drift(resource: Mapping[str, Any], scaled: Collection[str]) -> Drift | None:
    if resource["op"] == "delete" or not resource.get("new"):
        return Drift(_label(resource), gone=True)
    if resource["op"] == "same":
        return None
    applied = normalise(dict(resource["old"]["inputs"]))
    outputs = resource["new"]["outputs"]
    live = normalise({key: value for key, value in outputs.items() if key not in OWN_KEYS})
    label = _label(resource)
    fields = tuple(
        field
        for field in differences(applied, _prune(live, applied))
        if field.path != REPLICAS or label not in scaled
    )
    return Drift(label, gone=False, fields=fields) if fields else None


def _prune(live: Any, shape: Any) -> Any:
    """Return of `live` what its author wrote, by the shape of what was written.

    A server fills in defaults and status; they are no difference.
    """
    if isinstance(live, dict) and isinstance(shape, dict):
        return {key: _prune(value, shape[key]) for key, value in live.items() if key in shape}
    if isinstance(live, list) and isinstance(shape, list) and len(live) == len(shape):
        return [_prune(value, part) for value, part in zip(live, shape, strict=True)]
    return live


def _label(resource: Mapping[str, Any]) -> str:
    """Return kind and name of an object, or its name in the program if that is all there is."""
    kind = str(resource["type"]).rpartition(":")[2]
    for state in ("new", "old"):
        inputs = (resource.get(state) or {}).get("inputs") or {}
        name = (inputs.get("metadata") or {}).get("name")
        if isinstance(name, str):
            return f"{inputs.get('kind', kind)} {name}"
    return f"{kind} {str(resource['urn']).rpartition('::')[2]}"
