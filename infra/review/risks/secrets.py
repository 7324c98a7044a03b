"""Secrets that pods need: keys that go, and keys that somebody must fill in first."""

from collections.abc import Iterator

from infra.policy.objects import Object, Stack, dig
from infra.review.risks.rule import Finding, Scene, risk

Need = tuple[str, str, str]
"""The pod's owner, the Secret's name, the key."""


@risk("high")
def secret_key_removed(scene: Scene) -> Iterator[Finding]:
    """Name keys that are gone from a Secret."""
    for change in scene.kept("Secret"):
        for key in sorted(_keys(change.old) - _keys(change.new)):
            needy = sorted(
                owner
                for owner, name, need in _needs(scene.after)
                if (name, need) == (change.name, key)
            )
            effect = f"pods of {', '.join(needy)} won't start" if needy else "nobody requires it"
            yield change.title, f"secret key {key} removed: {effect}"


@risk("high")
def secret_deleted(scene: Scene) -> Iterator[Finding]:
    """Name Secrets that are gone while a pod still requires them."""
    for change in scene.of("Secret"):
        needy = sorted({owner for owner, name, _ in _needs(scene.after) if name == change.name})
        if change.action == "deleted" and needy:
            yield change.title, f"deletes the Secret: pods of {', '.join(needy)} won't start"


@risk("high")
def secret_key_required(scene: Scene) -> Iterator[Finding]:
    """Name keys that a pod requires from now on and that the stack itself does not bring.

    Only of pods that were there before: a new stack needs all of its keys.
    """
    before = set(_needs(scene.before))
    brought = {
        (obj["metadata"]["name"], key) for obj in scene.after.of("Secret") for key in _keys(obj)
    }
    for owner, name, key in sorted(set(_needs(scene.after)) - before):
        if scene.before.named(*owner.split(" ")) and (name, key) not in brought:
            yield (
                owner,
                f"secret key {key} of {name} is required now: pods won't start before it is there",
            )


@risk("medium")
def secret_variable_removed(scene: Scene) -> Iterator[Finding]:
    """Name secret keys that a pod doesn't get any more."""
    gone = set(_uses(scene.before)) - set(_uses(scene.after))
    for owner, name, key in sorted(gone):
        if scene.after.named(*owner.split(" ")):
            yield owner, f"secret key {key} of {name} removed from the pods"


@risk("high")
def secret_exposed(scene: Scene) -> Iterator[Finding]:
    """Name pods that are given all of a Secret from now on, the keys of others included."""
    before = set(_whole(scene.before))
    for owner, name in sorted(set(_whole(scene.after)) - before):
        yield owner, f"is given all of Secret {name}, the keys that are for others as well"


def _whole(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield owner and name of each Secret that a pod gets as a whole."""
    for pod in stack.pods():
        names = [
            dig(source, "secretRef.name")
            for container in pod.containers
            for source in container.get("envFrom") or ()
        ]
        for volume in pod.spec.get("volumes") or ():
            parts = dig(volume, "projected.sources") or ()
            names += [dig(volume, "secret.secretName"), *(dig(p, "secret.name") for p in parts)]
        yield from ((pod.owner, name) for name in names if name)


def _keys(secret: Object) -> set[str]:
    return {*(secret.get("data") or ()), *(secret.get("stringData") or ())}


def _uses(stack: Stack) -> Iterator[Need]:
    """Yield each secret key that a pod has in its environment, by the owner's stable name."""
    yield from ((owner, name, key) for owner, name, key, _ in _references(stack))


def _needs(stack: Stack) -> Iterator[Need]:
    yield from (
        (owner, name, key) for owner, name, key, optional in _references(stack) if not optional
    )


def _references(stack: Stack) -> Iterator[tuple[str, str, str, bool]]:
    for obj in (*stack.of("Deployment"), *stack.of("StatefulSet")):
        owner = f"{obj['kind']} {obj['metadata']['name']}"
        for container in obj["spec"]["template"]["spec"].get("containers", ()):
            for variable in container.get("env") or ():
                reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
                if reference:
                    optional = bool(reference.get("optional"))
                    yield owner, reference["name"], reference["key"], optional
