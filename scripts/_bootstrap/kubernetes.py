"""The outside tools of a Kubernetes control plane for tests, as catalogue.py lists the others."""

from typing import Final

from scripts._bootstrap.catalogue import (
    GITHUB,
    Download,
    GoFiles,
    GoProgram,
    Tool,
    machine,
    system,
)


def _etcd() -> Tool:
    version = "3.6.8"
    archive = f"etcd-v{version}-{system()}-{machine()}"
    release = f"{GITHUB}/etcd-io/etcd/releases/download/v{version}"
    return Tool(
        name="etcd",
        version=version,
        binaries=("etcd",),
        minimum="3.5.0",  # the oldest that Kubernetes 1.34 is tested with
        remedy="install etcd 3.6, or Go 1.24 or newer",
        download=Download(
            archive=f"{release}/{archive}.tar.gz",
            checksums=f"{release}/SHA256SUMS",
            files=(f"{archive}/etcd",),
        ),
        go=(GoProgram(folder="etcd", package="go.etcd.io/etcd/server/v3", binary="etcd"),),
        go_usually="30 s",
    )


def _kubernetes() -> Tool:
    """Return the control plane: programs that need no image and no privilege."""
    programs = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return _of_kubernetes("kubernetes", "server", programs, "4 min on 2 cores, once per machine")


def _kubectl() -> Tool:
    return _of_kubernetes("kubectl", "client", ("kubectl",), "1 min on 2 cores, once per machine")


def _of_kubernetes(name: str, part: str, programs: tuple[str, ...], usually: str) -> Tool:
    version = "1.34.4"
    major, minor, _ = version.split(".")
    stamp = "-X k8s.io/component-base/version.git"
    archive = f"kubernetes-{part}-{system()}-{machine()}.tar.gz"
    return Tool(
        name=name,
        version=version,
        binaries=programs,
        minimum="1.34.0",  # what the manifests are written for
        version_arguments=("version", "--client") if name == "kubectl" else ("--version",),
        remedy=f"install Kubernetes 1.34's {part} binaries, or Go 1.24 or newer",
        download=Download(
            archive=f"https://dl.k8s.io/v{version}/{archive}",
            checksums=f"https://dl.k8s.io/v{version}/SHA256SUMS",
            files=tuple(f"kubernetes/{part}/bin/{program}" for program in programs),
            usually="1 min",
        ),
        go=tuple(
            GoProgram(
                folder="kubernetes",
                package=f"k8s.io/kubernetes/cmd/{program}",
                binary=program,
                ldflags=(
                    f"-s -w {stamp}Version=v{version} {stamp}Major={major} {stamp}Minor={minor}"
                ),
            )
            for program in programs
        ),
        go_usually=usually,
    )


def _kwok() -> Tool:
    """Return what plays the kubelet of nodes that are not there; its releases hold no archive."""
    version = "0.8.0"
    module = "sigs.k8s.io/kwok"
    return Tool(
        name="kwok",
        version=version,
        binaries=("kwok",),
        minimum="0.7.0",
        remedy="install kwok, or Go 1.24 or newer",
        go=(
            GoProgram(
                folder="kwok",
                package=f"{module}/cmd/kwok",
                binary="kwok",
                ldflags=f"-s -w -X {module}/pkg/consts.Version=v{version}",
            ),
        ),
        go_usually="70 s on 2 cores, once per machine",
    )


def _monitoring_definitions() -> Tool:
    """Return the kinds that the stacks' monitoring objects are of, for an API server to learn."""
    names = tuple(
        f"monitoring.coreos.com_{kind}.yaml" for kind in ("prometheusrules", "servicemonitors")
    )
    return Tool(
        name="monitoring-definitions",
        version="0.85.0",
        binaries=names,
        where="definitions",
        remedy="install Go 1.24 or newer",
        go=(
            GoFiles(
                folder="prometheus-operator",
                module="github.com/prometheus-operator/prometheus-operator",
                files=tuple(f"example/prometheus-operator-crd/{name}" for name in names),
            ),
        ),
        go_usually="10 s",
    )


KUBECTL: Final = _kubectl()
CONTROL_PLANE: Final = (_etcd(), _monitoring_definitions(), _kwok(), _kubernetes(), KUBECTL)
