"""Secrets that pods need: keys that go, and keys that somebody must fill in first."""

from collections.abc import Iterator

from infra.policy.objects import Object, Stack, dig
from infra.review.risks.rule import Comparison, Finding, risk

Need = tuple[str, str, str]
"""The pod's owner, the Secret's name, the key."""


@risk("high")
def secret_key_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name keys that are gone from a Secret."""
    for change in comparison.kept("Secret"):
        for key in sorted(_keys(change.old) - _keys(change.new)):
            needy = sorted(
                owner
                for owner, name, need in _uses(comparison.after, required=True)
                if (name, need) == (change.name, key)
            )
            effect = f"pods of {', '.join(needy)} won't start" if needy else "nobody requires it"
            yield change.title, f"secret key {key} removed: {effect}"


@risk("high")
def secret_deleted(comparison: Comparison) -> Iterator[Finding]:
    """Name Secrets that are gone while a pod still requires them."""
    for change in comparison.of("Secret"):
        needy = sorted(
            {
                owner
                for owner, name, _ in _uses(comparison.after, required=True)
                if name == change.name
            }
        )
        if change.action == "deleted" and needy:
            yield change.title, f"deletes the Secret: pods of {', '.join(needy)} won't start"


@risk("high")
def secret_key_required(comparison: Comparison) -> Iterator[Finding]:
    """Name keys that a pod requires from now on and that the stack itself does not bring.

    Only of pods that were there before: a new stack needs all of its keys.
    """
    before = set(_uses(comparison.before, required=True))
    brought = {
        (obj["metadata"]["name"], key)
        for obj in comparison.after.of("Secret")
        for key in _keys(obj)
    }
    for owner, name, key in sorted(set(_uses(comparison.after, required=True)) - before):
        if comparison.before.named(*owner.split(" ")) and (name, key) not in brought:
            yield (
                owner,
                f"secret key {key} of {name} is required now: pods won't start before it is there",
            )


@risk("medium")
def secret_variable_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name secret keys that a pod doesn't get any more."""
    gone = set(_uses(comparison.before)) - set(_uses(comparison.after))
    for owner, name, key in sorted(gone):
        if comparison.after.named(*owner.split(" ")):
            yield owner, f"secret key {key} of {name} removed from the pods"


def _keys(secret: Object) -> set[str]:
    return {*(secret.get("data") or ()), *(secret.get("stringData") or ())}


def _uses(stack: Stack, *, required: bool = False) -> Iterator[Need]:
    """Yield each secret key that a pod has in its environment, or can't start without."""
    for pod in stack.pods():
        if pod.kind not in ("Deployment", "StatefulSet"):
            continue
        for variable in (each for one in pod.containers for each in one.get("env") or ()):
            reference = dig(variable, "valueFrom.secretKeyRef")
            if reference and not (required and reference.get("optional")):
                yield pod.owner, reference["name"], reference["key"]
