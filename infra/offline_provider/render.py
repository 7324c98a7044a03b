"""Render mode: a target that is a folder of manifests."""

import os
import pathlib

from infra import labels
from infra.offline_provider import manifests, objects
from infra.offline_provider.diff import Path
from infra.offline_provider.objects import Object
from infra.offline_provider.target import Changes, Order


class RenderTarget:
    """Writes, reads and removes the manifest of one object at a time.

    Every object has a file of its own, so calls for different objects may run side by side.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def refusals(self, inputs: Object, _urn: str) -> list[str]:
        """Return why this object can't be rendered; an empty list means that it can."""
        if not (inputs.get("apiVersion") and inputs.get("kind")):
            return ["not a Kubernetes object: the offline provider renders plain objects only"]
        label = f"{inputs['kind']} {objects.identity(inputs)}".rstrip()
        faults = []
        if not objects.metadata(inputs).get("name"):
            faults.append(f"{label}: set metadata.name; the offline provider invents no names")
        faults += [
            f"{label}: {path} is secret, and rendering would write it down in plain text; in "
            f"render mode put {labels.PLACEHOLDER!r} there"
            for path in objects.exposed(inputs)
        ]
        return faults

    def complete(self, wanted: Object) -> Object:
        """Add nothing: a folder has no default namespace."""
        return wanted

    def settle(self, _order: Order, found: Changes) -> tuple[Changes, tuple[Path, ...]]:
        """Believe every difference: nobody else writes the files."""
        return found, ()

    def unready(self, _order: Order) -> bool:
        """Know of nothing that does not work: a file does nothing."""
        return False

    def preview(self, _order: Order) -> None:
        """Know no more than the inputs: they are what the file will hold."""

    def apply(self, order: Order) -> Object:
        """Write the object's manifest, whole or not at all; a file adds nothing to the object."""
        wanted = order.wanted
        path = self._directory / manifests.path_of(wanted)
        for folder in manifests.FOLDERS:
            (self._directory / folder).mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(manifests.dump(wanted), encoding="utf-8")
        partial.replace(path)
        return wanted

    def read(self, known: Object) -> Object | None:
        """Return what the object's manifest says now, or None when it is gone."""
        path = self._directory / manifests.path_of(known)
        try:
            return manifests.load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"{path}: {error}; restore the file or delete it") from error

    def remove(self, order: Order) -> None:
        """Delete the object's manifest; one that is gone already is no error."""
        (self._directory / manifests.path_of(order.before)).unlink(missing_ok=True)
