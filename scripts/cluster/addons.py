"""What a cluster needs before the stack: DNS, storage, measurements, Prometheus and its operator.

manifests/*.yaml, with a few words to be filled in. Applying them again changes nothing.
"""

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from scripts import ROOT
from scripts.bootstrap.console import Console
from scripts.cluster import layout as at
from scripts.cluster.certificates import Authority
from scripts.kubectl import Kubectl

MANIFESTS: Final = Path(__file__).with_name("manifests")
DEFINITIONS: Final = ROOT / ".tools" / "definitions"
RENDERED: Final = ROOT / "infra" / "rendered" / "local"
RULES: Final = "coinslot-adapter-rules"
MONITORING: Final = "monitoring"
SYSTEM: Final = "kube-system"
WEBHOOK: Final = "admission-webhook"
NOTHING: Final[Mapping[str, str]] = {}
WORDS: Final = {"IMAGE": at.PROGRAMS, "DNS_SERVICE": at.DNS_SERVICE}
ROLLOUT_TIMEOUT_S: Final = 180.0  # twenty seconds, on a machine that does nothing else
ESTABLISHED_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Addon:
    """A manifest, and what has to run when it is there; `usually` is how long that takes."""

    manifest: str
    namespace: str = ""
    workloads: Sequence[str] = ()
    usually: str = "5 s"


NAMESPACES: Final = Addon("namespaces")
STORAGE: Final = Addon("storage")
BASICS: Final = (
    STORAGE,
    Addon("dns", SYSTEM, ["deployment/coredns"], "10 s"),
)
"""What a cluster of kind has already."""
MONITORS: Final = (
    Addon("metrics-server", SYSTEM, ["deployment/metrics-server"], "30 s"),
    Addon(
        "operator",
        MONITORING,
        ["deployment/prometheus-operator", f"deployment/{WEBHOOK}"],
        "10 s",
    ),
    Addon("prometheus", MONITORING, ["deployment/kube-state-metrics"], "10 s"),
    Addon("adapter", MONITORING, [], "10 s"),
)
AUTHORITY_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
VERIFIED: Final = {
    "KUBELET_TRUST": f"--kubelet-certificate-authority={AUTHORITY_FILE}",
    "KUBELET_TLS": f"{{caFile: {AUTHORITY_FILE}}}",
}
UNVERIFIED: Final = {
    "KUBELET_TRUST": "--kubelet-insecure-tls",
    "KUBELET_TLS": "{insecureSkipVerify: true}",
}
"""Where kubelets sign for themselves, as kind's do."""
OPERATED: Final = ("statefulset/prometheus-main", "statefulset/alertmanager-main")
"""What the operator makes; the adapter is ready when Prometheus answers it."""


def install(
    kubectl: Kubectl,
    addons: Sequence[Addon],
    console: Console,
    more_words: Mapping[str, str] = NOTHING,
) -> None:
    """Apply manifests in their order, each with WORDS filled in, and wait until its pods run."""
    words = {**WORDS, **more_words}
    for addon in addons:
        with console.step(f"installing {addon.manifest}", addon.usually):
            kubectl.apply(_filled(addon.manifest, words))
            kubectl.rollout(addon.namespace, addon.workloads, ROLLOUT_TIMEOUT_S)


def install_monitoring(kubectl: Kubectl, kubelets: Mapping[str, str], console: Console) -> None:
    """Install all that measures; `kubelets` is VERIFIED or UNVERIFIED."""
    with console.step("installing the operator's definitions", "10 s"):
        files = [word for path in sorted(DEFINITIONS.glob("*.yaml")) for word in ("-f", str(path))]
        kubectl("apply", "--server-side", "--force-conflicts", *files)
        kubectl.wait("condition=Established", "crd", "--all", timeout_s=ESTABLISHED_TIMEOUT_S)
    kubectl.apply(_adapter_rules())
    install(kubectl, MONITORS, console, {"AUTHORITY": _webhook_keys(kubectl), **kubelets})
    with console.step("waiting for Prometheus and Alertmanager", "20 s"):
        kubectl.wait("create", *OPERATED, "-n", MONITORING, timeout_s=ROLLOUT_TIMEOUT_S)
        kubectl.rollout(MONITORING, OPERATED, ROLLOUT_TIMEOUT_S)
        kubectl.rollout(MONITORING, ["deployment/prometheus-adapter"], ROLLOUT_TIMEOUT_S)


def _filled(manifest: str, words: Mapping[str, str]) -> str:
    text = (MANIFESTS / f"{manifest}.yaml").read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _adapter_rules() -> str:
    """Return the adapter's settings: the rules that the stack renders, as its owner takes them."""
    path = next(RENDERED.rglob(f"*{RULES}.yaml"))
    data = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
    metadata = {"name": "adapter-rules", "namespace": MONITORING}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _webhook_keys(kubectl: Kubectl) -> str:
    """Make the webhook's keys, unless they are there; return its authority in base64."""
    found = kubectl.get("secret", WEBHOOK, MONITORING)
    if found:
        return str(found["data"]["ca.crt"])
    with tempfile.TemporaryDirectory(prefix="coinslot-webhook-") as folder:
        authority = Authority(Path(folder) / "pki")
        pair = authority.issue(WEBHOOK, WEBHOOK, hosts=[f"{WEBHOOK}.{MONITORING}.svc"])
        files = {
            "ca.crt": authority.certificate,
            "tls.crt": pair.certificate,
            "tls.key": pair.key,
        }
        data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
    metadata = {"name": WEBHOOK, "namespace": MONITORING}
    kubectl.apply(
        json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    )
    return data["ca.crt"]
