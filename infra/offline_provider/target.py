"""Where objects live: a folder of manifests, or a cluster."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from infra.offline_provider.diff import Change, Path
from infra.offline_provider.objects import Object

Changes = tuple[Change, ...]

REPLACE_ANNOTATION: Final = "pulumi.com/replaceUnready"
"""As with the official provider: of a Job, whose template can't change and who ends for good."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the engine wants of one object, in plain values."""

    wanted: Object
    before: Object = field(default_factory=dict)
    """The object as it was last seen; empty for one that is to be made."""
    manager: str = ""
    """The name under which the API server records the fields that we set."""
    urn: str = ""
    timeout_s: float = 0.0
    """How long to wait for it at most; 0 leaves that to the target."""


class NotReadyError(Exception):
    """The object is there, as `live`, and does not work; `reasons` say why."""

    def __init__(self, live: Object, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.live = live
        self.reasons = reasons


class Target(Protocol):
    """Brings objects, in plain values, to where they live. Calls may come side by side.

    What stands in the way is a ValueError or an OSError with a message for the user.
    """

    def refusals(self, inputs: Object, urn: str) -> list[str]:
        """Return why these inputs, secrets marked, can't be brought here; empty: they can."""

    def complete(self, wanted: Object) -> Object:
        """Return the object with what this place adds to its name."""

    def settle(self, order: Order, found: Changes) -> tuple[Changes, tuple[Path, ...]]:
        """Return which of `found` are changes indeed, and paths that can't change in place."""

    def unready(self, order: Order) -> bool:
        """Say whether the object wants to be replaced when it doesn't work, and doesn't."""

    def preview(self, order: Order) -> Object | None:
        """Return what `apply` would, and change nothing; None when only the inputs are known."""

    def apply(self, order: Order) -> Object:
        """Create or update the object; return it as it is there afterwards.

        Raises NotReadyError for one that is there and does not get ready.
        """

    def read(self, known: Object) -> Object | None:
        """Return the object of this name and kind as it is there, or None when it is gone."""

    def remove(self, order: Order) -> None:
        """Delete `order.before`; one that is gone already is no error."""
