"""What an example of a risk is, and the parts of the small stack that examples break."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.infra.review.small_stack import Objects

API = "Deployment api"
CONTAINER = "spec.template.spec.containers.0"
SECURITY = f"{CONTAINER}.securityContext"
SPREAD = "spec.template.spec.topologySpreadConstraints"
HPA, PDB, ALERTS = "HorizontalPodAutoscaler api", "PodDisruptionBudget api", "PrometheusRule shop"
ERRORS = "spec.groups.0.rules.1"
DATABASE = "NetworkPolicy database"
EGRESS = "spec.egress.0.to.0.ipBlock.cidr"


@dataclass(frozen=True)
class Example:
    """A change, what the rule says of it, and whether it has nothing to say of the way back."""

    rule: str
    text: str
    edit: Callable[[Objects], None]
    one_way: bool = True


def example(
    rule: str, text: str, edit: Callable[[Objects], None], *, one_way: bool = True
) -> Example:
    return Example(rule, text, edit, one_way)


def renamed(made: Objects) -> None:
    job = made.pop("Job migrate-0a1b2c3d")
    job["metadata"]["name"] = "migrate-ffffffff"
    made["Job migrate-ffffffff"] = job


def more_secret(made: Objects) -> None:
    reference = {"name": "elsewhere", "key": "TOKEN"}
    variables = made[API]["spec"]["template"]["spec"]["containers"][0]["env"]
    variables.append({"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}})
