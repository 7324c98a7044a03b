"""A review shows what is newly refused, by a rule or by Pod Security admission."""

import pytest

from infra.review import compare
from scripts import policy
from tests.infra.review.examples import API, CONTAINER, SECURITY
from tests.infra.review.small_stack import Edit, cut, put, stack

POD = "spec.template.spec"
REFUSED: dict[str, Edit] = {
    "denied-by-default: Deployment api can be reached": cut("NetworkPolicy deny-all"),
    "secrets-one-by-one: Deployment api is given all of a Secret": put(
        API, f"{CONTAINER}.envFrom", [{"secretRef": {"name": "secrets"}}]
    ),
    "probed: Deployment api has no startupProbe, readinessProbe": cut(
        API, f"{CONTAINER}.readinessProbe"
    ),
    "runAsNonRoot != true": cut(API, f"{SECURITY}.runAsNonRoot"),
    'unrestricted capabilities: container "api" must not include "NET_ADMIN"': put(
        API, f"{SECURITY}.capabilities.add", ["NET_ADMIN"]
    ),
    "host namespaces: hostNetwork=true": put(API, f"{POD}.hostNetwork", value=True),
    'restricted volume types: volume "x" uses': put(
        API, f"{POD}.volumes", [{"name": "x", "hostPath": {"path": "/etc"}}]
    ),
    "runAsUser=0": put(API, f"{POD}.securityContext", {"runAsUser": 0}),
    'procMount: container "api"': put(API, f"{SECURITY}.procMount", "Unmasked"),
    'hostPort: container "api" uses hostPort 80': put(
        API, f"{CONTAINER}.ports", [{"containerPort": 80, "hostPort": 80}]
    ),
    "forbidden sysctls: kernel.msgmax": put(
        API, f"{POD}.securityContext", {"sysctls": [{"name": "kernel.msgmax"}]}
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_newly_refused_is_a_new_violation(message: str) -> None:
    review = compare("staging", stack(), stack(REFUSED[message]), policy.objections)
    new = [text for text, is_new in review.violations if is_new]

    assert any(message in text and API in text for text in new), new
    assert review.reaches("high")


def test_what_was_refused_before_is_known() -> None:
    broken = stack(cut(API, f"{SECURITY}.runAsNonRoot"))
    review = compare("staging", broken, broken, policy.objections)

    assert any("pod-security/restricted" in text for text, _ in review.violations)
    assert not review.reaches("high")
