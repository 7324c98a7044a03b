"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback.

Objects live and controllers work as on any cluster; pods are scheduled as soon as there are nodes.
`tools/bootstrap control-plane` gets the programs.
"""

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.processes import Child, spawn
from tests.support.certificates import Authority, Pair

ROOT: Final = Path(__file__).resolve().parents[2]
BINARIES: Final = ROOT / ".venv" / "bin"
SERVICES: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"  # the first address of SERVICES is the API's own
HOSTS: Final = (LOOPBACK, API_SERVICE, "localhost", "kubernetes.default.svc")
ADMINS: Final = "system:masters"  # the group that RBAC lets do everything
READY_TIMEOUT_S: Final = 120.0  # five seconds on an idle machine
PROBE_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.1
STOP_TIMEOUT_S: Final = 10.0  # nothing of a throw-away cluster is worth more


Start = Callable[..., Child]


class ControlPlaneError(Exception):
    """The control plane can't be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """`arguments` are more flags, by program; `durable` syncs every write to the disk."""

    durable: bool = False
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running control plane, and the kubeconfig of its administrator."""

    server: str
    kubeconfig: Path
    children: tuple[Child, ...]


def program(name: str) -> Path:
    """Return the path of a program; raise ControlPlaneError when it was not installed."""
    path = BINARIES / name
    if not path.exists():
        raise ControlPlaneError(f"{path} is missing: run tools/bootstrap control-plane")
    return path


@contextmanager
def control_plane(folder: Path, options: Options | None = None) -> Iterator[ControlPlane]:
    """Run a control plane in an empty folder; the last thing started is the first to be stopped."""
    options = options or Options()
    authority = Authority(folder / "pki")
    admin = authority.issue("admin", "admin", group=ADMINS)
    tokens = authority.signing_key("service-accounts")
    with ExitStack() as running:

        def start(name: str, *arguments: str) -> Child:
            more = options.arguments.get(name, ())
            command: list[str | Path] = [program(name), *arguments, *more]
            child = spawn(name, command, log=folder / f"{name}.log")
            running.callback(child.stop, STOP_TIMEOUT_S)
            return child

        backend = authority.issue("etcd", "etcd", hosts=HOSTS)
        store, etcd = _etcd(start, folder, authority, backend, durable=options.durable)
        server, api = _api_server(start, authority, backend, store, tokens)
        kubeconfig = write_kubeconfig(folder / "kubeconfig", server, authority, admin)
        _until_ready(server, authority, admin, (etcd, api))
        controllers = _controllers(start, kubeconfig, authority, tokens)
        yield ControlPlane(server, kubeconfig, (etcd, api, *controllers))


def write_kubeconfig(path: Path, server: str, authority: Authority, user: Pair) -> Path:
    """Write a kubeconfig with one context, for this user."""
    cluster = {"server": server, "certificate-authority": str(authority.certificate)}
    credentials = {"client-certificate": str(user.certificate), "client-key": str(user.key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "admin", "user": credentials}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
        "current-context": "local",
    }
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def _etcd(
    start: Start, folder: Path, authority: Authority, pair: Pair, *, durable: bool
) -> tuple[str, Child]:
    clients = f"https://{LOOPBACK}:{free_port()}"
    peers = f"https://{LOOPBACK}:{free_port()}"
    keys = [f"cert-file={pair.certificate}", f"key-file={pair.key}", "client-cert-auth"]
    keys.append(f"trusted-ca-file={authority.certificate}")
    child = start(
        "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        *(f"--{key}" for key in keys),
        *(f"--peer-{key}" for key in keys),
        *([] if durable else ["--unsafe-no-fsync"]),
    )
    return clients, child


def _api_server(
    start: Start, authority: Authority, backend: Pair, store: str, tokens: Path
) -> tuple[str, Child]:
    port = free_port()
    pair = authority.issue("kube-apiserver", "kube-apiserver", hosts=HOSTS)
    child = start(
        "kube-apiserver",
        f"--etcd-servers={store}",
        f"--etcd-cafile={authority.certificate}",
        f"--etcd-certfile={backend.certificate}",
        f"--etcd-keyfile={backend.key}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        f"--client-ca-file={authority.certificate}",
        f"--service-account-key-file={tokens}",
        f"--service-account-signing-key-file={tokens}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        # Loopback is no address for others, and there are no others.
        "--endpoint-reconciler-type=none",
    )
    return f"https://{LOOPBACK}:{port}", child


def _controllers(
    start: Start, kubeconfig: Path, authority: Authority, tokens: Path
) -> tuple[Child, ...]:
    common = (
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",  # nobody asks them anything
    )
    manager = start(
        "kube-controller-manager",
        *common,
        f"--service-account-private-key-file={tokens}",
        f"--root-ca-file={authority.certificate}",
        "--use-service-account-credentials=true",
    )
    return manager, start("kube-scheduler", *common)


def _until_ready(server: str, authority: Authority, admin: Pair, children: Sequence[Child]) -> None:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(admin.certificate, admin.key)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _is_ready(f"{server}/readyz", context):
        for child in children:
            if child.returncode is not None:
                raise child.died()
        if time.monotonic() > deadline:
            raise ControlPlaneError(
                f"kube-apiserver is not ready after {READY_TIMEOUT_S:g} s:\n{children[-1].tail()}"
            )
        time.sleep(POLL_S)


def _is_ready(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S, context=context) as answer:  # noqa: S310  ours
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
