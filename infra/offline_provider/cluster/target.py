"""Cluster mode: a target that is a Kubernetes API."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.offline_provider import diff, kubeconfig, objects, wire
from infra.offline_provider.cluster import words
from infra.offline_provider.cluster.api import Api, ApiError, UnreachableError
from infra.offline_provider.cluster.discovery import Discovery, Resource, UnknownKindError
from infra.offline_provider.cluster.readiness import State
from infra.offline_provider.cluster.reasons import Neighbours
from infra.offline_provider.cluster.waiting import Wait, Waiter
from infra.offline_provider.diff import Path
from infra.offline_provider.engine_log import Log
from infra.offline_provider.objects import Object
from infra.offline_provider.settings import ProviderSettings
from infra.offline_provider.target import (
    REPLACE_ANNOTATION,
    Changes,
    NotReadyError,
    Order,
)

SKIP_ANNOTATION: Final = "pulumi.com/skipAwait"
TIMEOUT_ANNOTATION: Final = "pulumi.com/timeoutSeconds"
PROPAGATION_ANNOTATION: Final = "pulumi.com/deletionPropagationPolicy"
PROPAGATIONS: Final = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}
DEFAULT_TIMEOUT_S: Final = 600.0  # the official provider's for almost every kind
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
KIND_WAIT_S: Final = 10.0  # how long a new CustomResourceDefinition takes to be served, generously
KIND_POLL_S: Final = 0.5


class ClusterTarget:
    """Applies, reads and removes objects of one cluster."""

    def __init__(self, settings: ProviderSettings, log: Log, stop: threading.Event) -> None:
        access = kubeconfig.find(settings)
        self._namespace = access.namespace
        self._settings = settings
        self._api = Api(access, stop)
        self._discovery = Discovery(self._api)
        self._waiter = Waiter(self._api, Neighbours(self._api, self._discovery), stop)
        self._log = log
        self._stop = stop
        self._told: set[str] = set()

    def refusals(self, inputs: Object, urn: str) -> list[str]:
        """Return why these inputs can't be applied."""
        kind = str(inputs.get("kind") or "")
        if not (inputs.get("apiVersion") and kind):
            return ["not a Kubernetes object: the offline provider knows plain objects only"]
        if kind.endswith("List") or _type_of(urn).endswith("Patch"):
            return [f"{_type_of(urn)}: the offline provider knows no lists and no patch resources"]
        if not objects.name(inputs):
            return [f"{kind}: set metadata.name; the offline provider invents no names"]
        return [*_annotation_faults(inputs)]

    def complete(self, wanted: Object) -> Object:
        """Put the object into the default namespace if its kind has one and it has none."""
        if objects.namespace(wanted) or not isinstance(wanted.get("metadata"), dict):
            return wanted
        try:
            namespaced = self._discovery.of(wanted).namespaced
        except (ApiError, UnknownKindError, UnreachableError):
            return wanted  # whoever uses it next says what is wrong
        if not namespaced:
            return wanted
        return {**wanted, "metadata": {**wanted["metadata"], "namespace": self._namespace}}

    def settle(self, order: Order, found: Changes) -> tuple[Changes, tuple[Path, ...]]:
        """Let the API server say which differences it would make, and which it refuses.

        It knows that "1000m" is "1", and which fields of its version can't change.
        """
        if wire.contains(order.wanted, wire.Unknown) or not _same_object(order):
            return found, ()
        try:
            # By force: what differs is one question, who owns it another, and `preview` asks that.
            dry, _ = self._apply(order, dry_run=True, force=True)
        except ApiError as error:
            return found, words.fixed_paths(error)
        except (UnknownKindError, UnreachableError):
            return found, ()
        # Others may have changed the object since it was seen; that is in here, and not in `found`.
        real = diff.changes(_comparable(order.before), _comparable(dry))
        paths = tuple(change.path for change in real)
        return tuple(change for change in found if diff.touches(change.path, paths)), ()

    def unready(self, order: Order) -> bool:
        """Say whether it is a Job that asks to be replaced unless it is done, and isn't."""
        if not _same_object(order) or order.wanted.get("kind") != "Job":
            return False
        if _annotation(order.wanted, REPLACE_ANNOTATION) != "true":
            return False
        try:
            live = self._api.find(self._resource(order).path_of(order.wanted))
        except (ApiError, UnknownKindError, UnreachableError):
            return False  # whoever uses it next says what is wrong
        return live is not None and self._waiter.judge(live).state is not State.READY

    def preview(self, order: Order) -> Object | None:
        """Return the object after a dry run; None where there can't be one."""
        if wire.contains(order.wanted, wire.Unknown):
            return None
        try:
            self._refuse_existing(order)
            dry, _ = self._apply(order, dry_run=True)
        except UnknownKindError as error:
            self._tell_once(order, f"{error} yet: previewed without the server's checks")
        except UnreachableError as error:
            self._tell_once(order, f"{error}; previewed without its checks")
        except ApiError as error:
            missing = words.lacks_namespace(error)
            if not missing:
                raise _refused(order.wanted, error) from error
            self._tell_once(
                order,
                f"there is no namespace {missing} yet: objects in it are previewed without the "
                "server's checks",
            )
        else:
            # A dry run makes up addresses and a uid for a new object; the real run makes up others.
            return trimmed(dry) if order.before else diff.prune(dry, order.wanted)
        return None

    def apply(self, order: Order) -> Object:
        """Apply the object on the server's side and wait until it works."""
        try:
            self._wait_for_kind(order)
            self._refuse_existing(order)
            live, made = self._apply(order, dry_run=False)
        except ApiError as error:
            raise _refused(order.wanted, error) from error
        except (UnknownKindError, UnreachableError) as error:
            raise ValueError(f"{words.label(order.wanted)}: {error}") from error
        if not (order.before or made or self._settings.upsert):
            raise ValueError(_exists(order.wanted))  # somebody made it since we looked
        return self._ready(trimmed(live), order)

    def _ready(self, live: Object, order: Order) -> Object:
        """Return the object once it works. From here on it is there, whatever goes wrong."""
        if _annotation(order.wanted, SKIP_ANNOTATION) == "true":
            return live
        try:
            return trimmed(self._waiter.until_ready(live, self._wait(order, order.wanted)))
        except NotReadyError as error:
            raise NotReadyError(trimmed(error.live), error.reasons) from error
        except ApiError as error:
            raise NotReadyError(live, [words.explain(order.wanted, error)]) from error

    def read(self, known: Object) -> Object | None:
        """Return the object as it is now; a kind that the cluster doesn't know has none."""
        known = self.complete(known)
        try:
            live = self._api.find(self._discovery.of(known).path_of(known))
        except UnknownKindError:
            return None
        except ApiError as error:
            raise _refused(known, error) from error
        except UnreachableError as error:
            raise ValueError(f"{words.label(known)}: {error}") from error
        return trimmed(live) if live else None

    def remove(self, order: Order) -> None:
        """Delete the object and wait until it is gone."""
        known = order.before
        try:
            path = self._discovery.of(known).path_of(known)
            if (live := self._api.find(path)) is None:
                return
            self._api.delete(path, _propagation(known))
            if _annotation(known, SKIP_ANNOTATION) != "true":
                self._waiter.until_gone(live, self._wait(order, known))
        except UnknownKindError:
            return
        except ApiError as error:
            if error.code != 404:  # noqa: PLR2004  it went by itself
                raise _refused(known, error) from error
        except UnreachableError as error:
            raise ValueError(f"{words.label(known)}: {error}") from error

    def _apply(self, order: Order, *, dry_run: bool, force: bool = False) -> tuple[Object, bool]:
        asked = _annotation(order.wanted, words.FORCE_ANNOTATION)
        force = force or (asked == "true" if asked else self._settings.force)
        return self._api.apply(
            self._resource(order).path_of(order.wanted),
            wire.exact(order.wanted),
            order.manager,
            dry_run=dry_run,
            force=force,
        )

    def _resource(self, order: Order) -> Resource:
        return self._discovery.of(order.wanted)

    def _wait_for_kind(self, order: Order) -> None:
        """Wait for the kind of a custom resource whose definition has just been applied."""
        deadline = time.monotonic() + KIND_WAIT_S
        while True:
            try:
                self._resource(order)
            except UnknownKindError:
                if time.monotonic() > deadline or self._stop.wait(KIND_POLL_S):
                    raise
                self._log.status(order.urn, "waiting for its kind to be served")
            else:
                return

    def _refuse_existing(self, order: Order) -> None:
        """Refuse to make what is there: it may be somebody else's."""
        if order.before or self._settings.upsert:
            return
        if self._api.find(self._resource(order).path_of(order.wanted)):
            raise ValueError(_exists(order.wanted))

    def _wait(self, order: Order, obj: Object) -> Wait:
        return Wait(
            label=words.label(obj),
            path=self._discovery.of(obj).path_of(obj),
            timeout_s=order.timeout_s or _timeout_s(obj),
            say=lambda text: self._log.status(order.urn, text),
        )

    def _tell_once(self, order: Order, text: str) -> None:
        if text not in self._told:  # once a preview, and not once an object
            self._told.add(text)
            self._log.warn(order.urn, text)


def trimmed(live: Object) -> Object:
    """Return the object without bookkeeping that would only blur the state.

    kubectl's copy of what it applied goes, too: of a Secret it holds the values in plain text.
    """
    meta = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    annotations = dict(meta.get("annotations") or {})
    if annotations.pop(LAST_APPLIED, None) is not None:
        del meta["annotations"]
        meta |= {"annotations": annotations} if annotations else {}
    return {**live, "metadata": meta}


def _comparable(live: Object) -> Object:
    """Return of an object what an apply can change."""
    plain = {key: value for key, value in trimmed(live).items() if key != "status"}
    meta = plain["metadata"]
    return {
        **plain,
        "metadata": {key: meta[key] for key in meta if key not in objects.SERVER_FIELDS},
    }


def _refused(obj: Object, error: ApiError) -> ValueError:
    return ValueError(words.explain(obj, error))


def _exists(obj: Object) -> str:
    return (
        f"{words.label(obj)} exists already, and this program did not make it: import it "
        f"(id {objects.identity(obj)}), delete it, or choose another name"
    )


def _annotation(obj: Mapping[str, Any], key: str) -> str:
    value = (objects.metadata(obj).get("annotations") or {}).get(key)
    return value if isinstance(value, str) else ""


def _annotation_faults(obj: Object) -> Iterator[str]:
    """Yield which annotations for this provider make no sense."""
    seconds = _annotation(obj, TIMEOUT_ANNOTATION)
    if seconds and not re.fullmatch(r"\d+(\.\d+)?", seconds):
        yield f"{words.label(obj)}: {TIMEOUT_ANNOTATION} is {seconds!r}; expected seconds"
    manner = _annotation(obj, PROPAGATION_ANNOTATION)
    if manner and manner.lower() not in PROPAGATIONS:
        known = ", ".join(PROPAGATIONS)
        yield f"{words.label(obj)}: {PROPAGATION_ANNOTATION} is {manner!r}; expected {known}"


def _timeout_s(obj: Object) -> float:
    return float(_annotation(obj, TIMEOUT_ANNOTATION) or DEFAULT_TIMEOUT_S)


def _propagation(obj: Object) -> str:
    manner = _annotation(obj, PROPAGATION_ANNOTATION).lower()
    return PROPAGATIONS.get(manner, PROPAGATIONS["foreground"])


def _same_object(order: Order) -> bool:
    return objects.identity(order.before) == objects.identity(order.wanted)


def _type_of(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2] if urn.count("::") > 1 else ""
