"""Every outside tool, as tools/<name>/tool.toml describes it.

In its texts `{version}`, `{major}` and `{minor}` are the tool's own, `{system}` and `{machine}`
are this machine's (`linux`, `amd64`), and `{x64}` is the machine with `x64` for `amd64`.
"""

import platform
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DESCRIPTION: Final = "tool.toml"
SYSTEM: Final = platform.system().lower()
"""`linux` or `darwin`, as release archives are named."""
MACHINE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(
    platform.machine().lower(), platform.machine().lower()
)
"""`amd64` or `arm64`, as Go names them."""


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
class Go:
    """A main package, or files of a module, pinned by tools/<folder>/go.mod."""

    folder: str
    package: str = ""
    binary: str = ""  # the package's last word, or the folder of a main package of our own
    stamp: str = ""  # variables that the linker sets: name=value, between spaces
    tags: str = ""
    scripts: tuple[str, ...] = ()  # copied; relative to the main package's folder
    module: str = ""  # whose `files` are copied; nothing is built
    embeds: str = ""  # a module whose `files` our own main package embeds
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """A tool, and its sources in the order in which they are tried after PATH."""

    name: str
    version: str
    binaries: tuple[str, ...]  # what is linked into .tools/bin; the first one tells the version
    remedy: str  # what a person can do when no source works
    about: str = ""  # empty: it is part of a component, and none by itself
    minimum: str = ""  # lowest version that is accepted on PATH; empty: any
    version_arguments: tuple[str, ...] = ("--version",)
    where: str = "bin"  # below .tools; what is no program goes elsewhere
    companions: tuple[str, ...] = ()  # must be beside the first binary, or on PATH as well
    download: Download | None = None
    debian: Debian | None = None
    go: tuple[Go, ...] = ()
    go_usually: str = ""


def load(root: Path) -> dict[str, Tool]:
    return {path.parent.name: _tool(path) for path in sorted(root.glob(f"tools/*/{DESCRIPTION}"))}


def _tool(path: Path) -> Tool:
    name, raw = path.parent.name, tomllib.loads(path.read_text())
    fields = {key.replace("-", "_"): value for key, value in _filled(raw, raw["version"]).items()}
    go: Mapping[str, Any] = fields.pop("go", {})
    fields["go"] = tuple(_go({"folder": name, **program}) for program in go.get("programs", ()))
    for key, kind in (("download", Download), ("debian", Debian)):
        if key in fields:
            fields[key] = kind(**fields[key])
    return Tool(
        **{"name": name, "binaries": (name,), "go_usually": go.get("usually", ""), **fields}
    )


def _go(fields: dict[str, Any]) -> Go:
    package = fields.get("package", "")
    binary = fields["folder"] if package == "." else Path(package).name
    return Go(**{"binary": binary, **fields})


def _filled(value: Any, version: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, version) for key, each in value.items()}
    if isinstance(value, list):
        return tuple(_filled(each, version) for each in value)
    major, minor, *_ = (*version.split("."), "")
    return value.format(
        version=version,
        major=major,
        minor=minor,
        system=SYSTEM,
        machine=MACHINE,
        x64={"amd64": "x64"}.get(MACHINE, MACHINE),
    )
