"""Where objects live: a folder of manifests now; a cluster would be another target."""

from typing import Protocol

from infra.offline_provider.objects import Object


class Target(Protocol):
    """Brings objects, in plain values, to where they live. Calls may come side by side."""

    def apply(self, wanted: Object) -> Object:
        """Create or update the object; return it as it is there afterwards."""

    def read(self, known: Object) -> Object | None:
        """Return the object of this name and kind as it is there, or None when it is gone."""

    def remove(self, known: Object) -> None:
        """Delete the object; one that is gone already is no error."""
