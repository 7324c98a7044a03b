"""Render mode: a target that is a folder of manifests."""

import os
from pathlib import Path

from infra.offline_provider import manifests
from infra.offline_provider.objects import Object


class RenderTarget:
    """Writes, reads and removes the manifest of one object at a time.

    Every object has a file of its own, so calls for different objects may run side by side.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def apply(self, wanted: Object) -> Object:
        """Write the object's manifest, whole or not at all; a file adds nothing to the object."""
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

    def remove(self, known: Object) -> None:
        """Delete the object's manifest; one that is gone already is no error."""
        (self._directory / manifests.path_of(known)).unlink(missing_ok=True)
