"""Finds or gets one tool: PATH, this user's cache, then its sources in order."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from scripts.bootstrap import catalog, sources, store
from scripts.bootstrap.catalog import Tool
from scripts.bootstrap.commands import BootstrapError, Commands, UnavailableError
from scripts.bootstrap.console import Console
from scripts.bootstrap.sources import Job

WAITING: Final = "another bootstrap is getting it; waiting for that one"


@dataclass
class Place:
    """What every step needs to know: the clone, the cache, and how to run and say things."""

    root: Path
    cache: Path
    console: Console
    commands: Commands

    @cached_property
    def tools(self) -> Mapping[str, Tool]:
        return catalog.load(self.root)

    @property
    def links(self) -> Path:
        """The folder of this clone that holds a link to each tool."""
        return self.root / ".tools" / "bin"

    @property
    def stamps(self) -> store.Stamps:
        """What this clone has made, and under which key."""
        return store.Stamps(self.root / ".tools" / "stamps")


def ensure(tool: Tool, place: Place) -> None:
    """Make .tools/bin/<binary> of this clone point to the tool.

    Raises BootstrapError, saying what was tried and what to install, when no source has it.
    """
    candidates = [sources.on_path(binary, place.root) for binary in tool.binaries]
    key = _key(tool, place.root, candidates)
    links = [place.root / ".tools" / tool.where / binary for binary in tool.binaries]
    if place.stamps.matches(tool.name, key) and all(link.exists() for link in links):
        return
    found = _accepted(tool, candidates, place) or cached(tool, place)
    for link, target in zip(links, found, strict=True):
        store.link(link, target)
    place.stamps.write(tool.name, key)


def recipe_digest(tool: Tool, root: Path) -> str:
    """Digest what decides the content of the cached folder, and nothing that is only said."""
    packages = tool.debian and (tool.debian.packages, tool.debian.binaries, sources.STARTER)
    digest = hashlib.sha256(repr((tool.go, packages)).encode())
    for program in tool.go:
        folder = root / "tools" / program.folder
        for path in (folder / "go.mod", folder / "go.sum", *folder.glob("main.go")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _key(tool: Tool, root: Path, candidates: list[Path | None]) -> str:
    """Change with the recipe and with what PATH offers, so that a new install is noticed."""
    seen = [f"{path}@{path.stat().st_mtime_ns}" if path else "-" for path in candidates]
    return " ".join([recipe_digest(tool, root), *seen])


def _accepted(tool: Tool, candidates: list[Path | None], place: Place) -> list[Path] | None:
    found = [path for path in candidates if path]
    if len(found) < len(candidates):
        return None
    for companion in tool.companions:
        beside = found[0].resolve().parent / companion
        if not (os.access(beside, os.X_OK) or sources.on_path(companion, place.root)):
            place.console.log(f"{found[0]} is not used: it comes without {companion}")
            return None
    if tool.minimum and not _new_enough(tool, found[0], place):
        return None
    place.console.log(f"{tool.name}: using {', '.join(map(str, found))}")
    return found


def _new_enough(tool: Tool, binary: Path, place: Place) -> bool:
    try:
        message = place.commands.run(
            (binary, *tool.version_arguments),
            log=f"{tool.name}.log",
            timeout=sources.PROBE_TIMEOUT_SECONDS,
            env={"PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except UnavailableError as error:
        place.console.log(f"{binary} is not used: {error}")
        return False
    if sources.version_of(message) >= sources.version_of(tool.minimum):
        return True
    place.console.log(
        f"{binary} is not used: {tool.minimum} is needed, it says {message.strip()!r}"
    )
    return False


def cached(tool: Tool, place: Place) -> list[Path]:
    digest = recipe_digest(tool, place.root)
    name = f"{tool.name}-{tool.version}-{catalog.SYSTEM}-{catalog.MACHINE}-{digest}"
    folder = store.once(
        place.cache / "tools" / name,
        place.commands,
        lambda: place.console.log(f"{tool.name}: {WAITING}"),
        lambda folder: _fill(tool, folder, place),
    )
    return [folder / binary for binary in tool.binaries]


def _fill(tool: Tool, folder: Path, place: Place) -> None:
    refusals = []
    for title, usually, provide in _sources(tool):
        try:
            with (
                store.published(folder) as draft,
                place.console.step(f"{tool.name} {tool.version}: {title}", usually) as step,
            ):
                provide(Job(draft, step, place.commands, place.root / "tools"))
        except UnavailableError as error:
            place.console.log(f"{tool.name}: {title} is not possible: {error}")
            refusals.append(f"{title}: {error}")
        else:
            return
    tried = "; ".join(refusals)
    raise BootstrapError(
        f"{tool.name} is not on PATH and could not be got ({tried}): {tool.remedy}, and run again"
    )


def _sources(tool: Tool) -> Iterator[tuple[str, str, Callable[[Job], None]]]:
    if tool.download:
        yield "official download", tool.download.usually, partial(sources.download, tool.download)
    if tool.debian:
        yield "Debian packages", tool.debian.usually, partial(sources.debian, tool.debian)
    if tool.go:
        yield "building with Go", tool.go_usually, partial(sources.go_build, tool.go)
