"""Every outside tool: its version, where it comes from, and how long that usually takes."""

import platform
from dataclasses import dataclass, field
from typing import Final

GITHUB: Final = "https://github.com"


@dataclass(frozen=True)
class Download:
    """A release archive (tar.gz) and the checksum file that its publisher put beside it."""

    archive: str
    checksums: str
    files: tuple[str, ...]  # paths inside the archive that are kept, or a folder's name
    usually: str = "10 s"


@dataclass(frozen=True)
class Debian:
    """Packages that hold the tool; unpacked into the cache, so the system stays as it is."""

    packages: tuple[str, ...]
    binaries: tuple[str, ...]  # paths inside the packages
    usually: str = "15 s"
    minimum: str = ""  # lowest acceptable version of the first package


@dataclass(frozen=True)
class GoProgram:
    """A main package pinned by tools/<folder>/go.mod."""

    folder: str
    package: str
    binary: str
    ldflags: str = "-s -w"
    tags: str = ""
    scripts: tuple[str, ...] = ()  # relative to the main package's folder
    embeds: tuple[str, ...] = ()  # a module, and files of it that our main package embeds
    version: str = ""  # goes into what is embedded


@dataclass(frozen=True)
class GoFiles:
    """Files of a module that tools/<folder>/go.mod pins and go.sum vouches for."""

    folder: str
    module: str
    files: tuple[str, ...]  # relative to the module's folder


@dataclass(frozen=True)
class Tool:
    """A tool, and its sources in the order in which they are tried after PATH."""

    name: str
    version: str
    binaries: tuple[str, ...]  # what is linked into .tools/bin; the first one tells the version
    remedy: str  # what a person can do when no source works
    minimum: str = ""  # lowest version that is accepted on PATH; empty: any
    version_arguments: tuple[str, ...] = ("--version",)
    where: str = "bin"  # below .tools; what is no program goes elsewhere
    companions: tuple[str, ...] = ()  # must be beside the first binary, or on PATH as well
    download: Download | None = None
    debian: Debian | None = None
    go: tuple[GoProgram | GoFiles, ...] = ()
    go_usually: str = ""
    platform: str = field(default_factory=lambda: f"{system()}-{machine()}")


def system() -> str:
    """Return `linux` or `darwin`, as release archives are named."""
    return platform.system().lower()


def machine() -> str:
    """Return `amd64` or `arm64`, as Go names them."""
    name = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)


def _pulumi() -> Tool:
    version = "3.259.0"
    release = f"{GITHUB}/pulumi/pulumi/releases/download/v{version}"
    architecture = {"amd64": "x64"}.get(machine(), machine())
    engine = "github.com/pulumi/pulumi"
    stamp = f"-s -w -X {engine}/sdk/v3/go/common/version.Version="
    return Tool(
        name="pulumi",
        version=version,
        binaries=("pulumi",),
        minimum=version,  # nothing older has been tried with this repository's SDK
        version_arguments=("version",),
        companions=("pulumi-language-python",),
        remedy=f"install Pulumi {version} or newer, or Go 1.25 or newer",
        download=Download(
            archive=f"{release}/pulumi-v{version}-{system()}-{architecture}.tar.gz",
            checksums=f"{release}/pulumi-{version}-checksums.txt",
            files=("pulumi",),
            usually="20 s",
        ),
        go=(
            GoProgram(
                folder="pulumi",
                package=f"{engine}/pkg/v3/cmd/pulumi",
                binary="pulumi",
                ldflags=f"{stamp}v{version}",
            ),
            GoProgram(
                folder="pulumi-language-python",
                package=f"{engine}/sdk/v3/python/cmd/pulumi-language-python",
                binary="pulumi-language-python",
                ldflags=f"{stamp}v3.79.0",
                scripts=("../pulumi-language-python-exec",),
            ),
        ),
        go_usually="5 min on 2 cores, once per machine",
    )


def _kubernetes_provider() -> Tool:
    """Return the official provider, as it is built where its plugin can't be downloaded."""
    version = "4.25.0"
    module = "github.com/pulumi/pulumi-kubernetes/provider/v4"
    main = "cmd/pulumi-resource-kubernetes"
    return Tool(
        name="pulumi-resource-kubernetes",
        version=version,
        binaries=("pulumi-resource-kubernetes",),
        remedy="let this machine reach https://get.pulumi.com, or install Go 1.26 or newer",
        go=(
            GoProgram(
                folder="pulumi-resource-kubernetes",
                package=".",
                binary="pulumi-resource-kubernetes",
                ldflags=f"-s -w -X {module}/pkg/version.Version={version}",
                version=version,
                embeds=(module, f"{main}/schema.json", f"{main}/terraform-mapping.json"),
            ),
        ),
        go_usually="7 min on 2 cores, once per machine",
    )


def _prometheus_program(binary: str, usually: str) -> Tool:
    """Return a program of Prometheus; both come from one release, and one Go module."""
    version = "3.16.0"
    release = f"{GITHUB}/prometheus/prometheus/releases/download/v{version}"
    archive = f"prometheus-{version}.{system()}-{machine()}"
    return Tool(
        name=binary,
        version=version,
        binaries=(binary,),
        # Prometheus 3 made range selectors left-open: the same rule test gives other values in 2.
        minimum="3.0.0",
        remedy=f"install Prometheus 3 ({binary}), or Go 1.26 or newer",
        download=Download(
            archive=f"{release}/{archive}.tar.gz",
            checksums=f"{release}/sha256sums.txt",
            files=(f"{archive}/{binary}",),
        ),
        debian=Debian(packages=("prometheus",), binaries=(f"usr/bin/{binary}",), minimum="3.0.0"),
        go=(
            GoProgram(
                folder="promtool",
                package=f"github.com/prometheus/prometheus/cmd/{binary}",
                binary=binary,
                ldflags=f"-s -w -X github.com/prometheus/common/version.Version={version}",
                tags="remove_all_sd",  # no service discovery: a third of the packages
            ),
        ),
        go_usually=usually,
    )


def _amtool() -> Tool:
    version = "0.34.2"
    release = f"{GITHUB}/prometheus/alertmanager/releases/download/v{version}"
    archive = f"alertmanager-{version}.{system()}-{machine()}"
    return Tool(
        name="amtool",
        version=version,
        binaries=("amtool",),
        minimum="0.27.0",  # the first whose matchers are parsed by the rules of today
        remedy="install amtool (Alertmanager 0.27 or newer), or Go 1.26 or newer",
        download=Download(
            archive=f"{release}/{archive}.tar.gz",
            checksums=f"{release}/sha256sums.txt",
            files=(f"{archive}/amtool",),
        ),
        go=(
            GoProgram(
                folder="alertmanager",
                package="github.com/prometheus/alertmanager/cmd/amtool",
                binary="amtool",
                ldflags=f"-s -w -X github.com/prometheus/common/version.Version={version}",
            ),
        ),
        go_usually="2 min on 2 cores, once per machine",
    )


def _stripe_mock() -> Tool:
    version = "0.203.0"
    release = f"{GITHUB}/stripe/stripe-mock/releases/download/v{version}"
    return Tool(
        name="stripe-mock",
        version=version,
        binaries=("stripe-mock",),
        remedy="install stripe-mock, or Go 1.25 or newer",
        download=Download(
            archive=f"{release}/stripe-mock_{version}_{system()}_{machine()}.tar.gz",
            checksums=f"{release}/stripe-mock_{version}_checksums.txt",
            files=("stripe-mock",),
        ),
        go=(
            GoProgram(
                folder="stripe-mock",
                package="github.com/stripe/stripe-mock",
                binary="stripe-mock",
                ldflags=f"-s -w -X main.version={version}",
            ),
        ),
        go_usually="10 s",
    )


def _kubeconform() -> Tool:
    version = "0.8.0"
    release = f"{GITHUB}/yannh/kubeconform/releases/download/v{version}"
    return Tool(
        name="kubeconform",
        version=version,
        binaries=("kubeconform",),
        minimum=version,
        version_arguments=("-v",),
        remedy=f"install kubeconform {version} or newer, or Go 1.25 or newer",
        download=Download(
            archive=f"{release}/kubeconform-{system()}-{machine()}.tar.gz",
            checksums=f"{release}/CHECKSUMS",
            files=("kubeconform",),
            usually="5 s",
        ),
        go=(
            GoProgram(
                folder="kubeconform",
                package="github.com/yannh/kubeconform/cmd/kubeconform",
                binary="kubeconform",
                ldflags=f"-s -w -X main.version=v{version}",
            ),
        ),
        go_usually="10 s",
    )


def _kube_score() -> Tool:
    version = "1.20.0"
    release = f"{GITHUB}/zegl/kube-score/releases/download/v{version}"
    return Tool(
        name="kube-score",
        version=version,
        binaries=("kube-score",),
        minimum=version,  # an older one has fewer checks
        version_arguments=("version",),
        remedy=f"install kube-score {version} or newer, or Go 1.25 or newer",
        download=Download(
            archive=f"{release}/kube-score_{version}_{system()}_{machine()}.tar.gz",
            checksums=f"{release}/checksums.txt",
            files=("kube-score",),
            usually="5 s",
        ),
        go=(
            GoProgram(
                folder="kube-score",
                package="github.com/zegl/kube-score/cmd/kube-score",
                binary="kube-score",
                ldflags=f"-s -w -X main.version={version}",
            ),
        ),
        go_usually="1 min on 2 cores, once per machine",
    )


def _actionlint() -> Tool:
    version = "1.7.12"
    release = f"{GITHUB}/rhysd/actionlint/releases/download/v{version}"
    return Tool(
        name="actionlint",
        version=version,
        binaries=("actionlint",),
        remedy="install actionlint, or Go 1.25 or newer",
        download=Download(
            archive=f"{release}/actionlint_{version}_{system()}_{machine()}.tar.gz",
            checksums=f"{release}/actionlint_{version}_checksums.txt",
            files=("actionlint",),
        ),
        go=(
            GoProgram(
                folder="actionlint",
                package="github.com/rhysd/actionlint/cmd/actionlint",
                binary="actionlint",
                ldflags=f"-s -w -X github.com/rhysd/actionlint.version={version}",
            ),
        ),
        go_usually="20 s",
    )


def _image_tools() -> Tool:
    return Tool(
        name="image-tools",
        version="debian",
        binaries=("buildah", "debootstrap"),
        remedy="install Docker and start it, or be root on Debian or Ubuntu",
        debian=Debian(
            packages=("buildah", "debootstrap"),
            binaries=("usr/bin/buildah", "usr/sbin/debootstrap"),
        ),
    )


def _wrk() -> Tool:
    return Tool(
        name="wrk",
        version="debian",
        binaries=("wrk",),
        remedy="install wrk, or be root on Debian or Ubuntu",
        debian=Debian(packages=("wrk",), binaries=("usr/bin/wrk",), usually="5 s"),
    )


PULUMI: Final = _pulumi()
KUBERNETES_PROVIDER: Final = _kubernetes_provider()
PROMTOOL: Final = _prometheus_program("promtool", "2 min on 2 cores, once per machine")
PROMETHEUS: Final = _prometheus_program("prometheus", "8 min on 2 cores, once per machine")
AMTOOL: Final = _amtool()
STRIPE_MOCK: Final = _stripe_mock()
KUBECONFORM: Final = _kubeconform()
KUBE_SCORE: Final = _kube_score()
ACTIONLINT: Final = _actionlint()
IMAGE_TOOLS: Final = _image_tools()
WRK: Final = _wrk()
