"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

On loopback alone, for tests, or for nodes at an address that they reach. Objects live and
controllers work as on any cluster; pods are scheduled as soon as there are nodes. `tools/bootstrap
control-plane` or `nodes` gets the programs.
"""

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import yaml

from scripts.cluster.certificates import Authority, Pair
from scripts.cluster.layout import API_SERVICE, SERVICES
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.processes import Child, spawn
from scripts.programs import path_of

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
    """`arguments` are more flags, by program; `durable` syncs every write to the disk.

    With an `address` that is not loopback's, nodes can join at it; 0 is any free `port`.
    """

    durable: bool = False
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    address: str = LOOPBACK
    port: int = 0


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running control plane, the kubeconfig of its administrator, and who signs its keys."""

    server: str
    kubeconfig: Path
    children: tuple[Child, ...]
    authority: Authority


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
            command: list[str | Path] = [path_of(name, "control-plane"), *arguments, *more]
            child = spawn(name, command, log=folder / f"{name}.log")
            running.callback(child.stop, STOP_TIMEOUT_S)
            return child

        backend = authority.issue("etcd", "etcd", hosts=HOSTS)
        store, etcd = _etcd(start, folder, authority, backend, durable=options.durable)
        keys = _ApiKeys(authority, backend, tokens)
        server, api = _api_server(start, options, keys, store)
        kubeconfig = write_kubeconfig(folder / "kubeconfig", server, authority, admin)
        _until_ready(server, authority, admin, (etcd, api))
        controllers = _controllers(start, kubeconfig, authority, tokens)
        yield ControlPlane(server, kubeconfig, (etcd, api, *controllers), authority)


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


@dataclass(frozen=True, slots=True)
class _ApiKeys:
    """Who signs for the API server, its own pair as etcd's client, and what signs tokens."""

    authority: Authority
    backend: Pair
    tokens: Path


def _api_server(start: Start, options: Options, keys: _ApiKeys, store: str) -> tuple[str, Child]:
    port = options.port or free_port()
    alone = options.address == LOOPBACK
    hosts = HOSTS if alone else (*HOSTS, options.address)
    pair = keys.authority.issue("kube-apiserver", "kube-apiserver", hosts=hosts)
    child = start(
        "kube-apiserver",
        f"--etcd-servers={store}",
        f"--etcd-cafile={keys.authority.certificate}",
        f"--etcd-certfile={keys.backend.certificate}",
        f"--etcd-keyfile={keys.backend.key}",
        f"--secure-port={port}",
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        f"--client-ca-file={keys.authority.certificate}",
        f"--service-account-key-file={keys.tokens}",
        f"--service-account-signing-key-file={keys.tokens}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        *(_alone() if alone else _for_nodes(options, keys.authority)),
    )
    return f"https://{LOOPBACK}:{port}", child


def _alone() -> tuple[str, ...]:
    # Loopback is no address for others, and there are no others.
    return f"--bind-address={LOOPBACK}", "--endpoint-reconciler-type=none"


def _for_nodes(options: Options, authority: Authority) -> tuple[str, ...]:
    """Return the flags with which kubelets are asked, and APIs that pods serve are passed on to."""
    client = authority.issue("kubelet-client", "kube-apiserver-kubelet-client", group=ADMINS)
    front = Authority(authority.folder / "front-proxy")
    passed_on = front.issue("client", "front-proxy-client")
    return (
        "--bind-address=0.0.0.0",
        f"--advertise-address={options.address}",
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-client-certificate={client.certificate}",
        f"--kubelet-client-key={client.key}",
        f"--kubelet-certificate-authority={authority.certificate}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={front.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={passed_on.certificate}",
        f"--proxy-client-key-file={passed_on.key}",
        # No kube-proxy runs here: to pods by their own addresses.
        "--enable-aggregator-routing=true",
    )


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
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.URLError):
        return False
