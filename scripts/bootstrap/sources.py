"""The places a tool can come from. Each fills an empty folder or says why it cannot."""

import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import tarfile
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.bootstrap.catalog import Debian, Download, Go
from scripts.bootstrap.commands import Commands, LineHandler, UnavailableError
from scripts.bootstrap.console import Step

CONNECT_TIMEOUT_SECONDS: Final = 5.0  # a network that has the host answers in one; and one try
DOWNLOAD_LIMIT_BYTES: Final = 1 << 30  # the largest archive, Pulumi's, has 0.2 GiB
CHUNK_BYTES: Final = 1 << 18
GO_TIMEOUT_SECONDS: Final = 40 * 60.0  # ten times the usual time of the largest build
APT_TIMEOUT_SECONDS: Final = 5 * 60.0
PROBE_TIMEOUT_SECONDS: Final = 10.0
# No inlining and no debug information: a third less work for the compiler, and these tools wait
# for other programs most of their time anyway.
COMPILER_FLAGS: Final = "all=-dwarf=false -l"
GO_ENVIRONMENT: Final = {"GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
STARTER: Final = Path(__file__).with_name("debian_starter.sh.in").read_text()


@dataclass(frozen=True)
class Job:
    """The empty folder `draft` that a source is to fill, and how it may do so."""

    draft: Path
    step: Step
    commands: Commands
    modules: Path  # holds a folder for each module that pins Go programs

    def go(self, log: str, *arguments: str | Path, on_line: LineHandler | None = None) -> str:
        return self.commands.run(
            ("go", *arguments),
            log=f"{log}.log",
            timeout=GO_TIMEOUT_SECONDS,
            env=GO_ENVIRONMENT,
            on_line=on_line,
        )


def on_path(name: str, root: Path, search: str | None = None) -> Path | None:
    """Find an executable on PATH, but not in this clone: our own links are not a source."""
    folders = (os.environ.get("PATH", "") if search is None else search).split(os.pathsep)
    outside = [f for f in folders if f and not Path(f).resolve().is_relative_to(root.resolve())]
    found = shutil.which(name, path=os.pathsep.join(outside))
    return Path(found) if found else None


def version_of(text: str) -> tuple[int, ...]:
    match = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def download(source: Download, job: Job) -> None:
    """Fetch a release archive, verify its checksum and unpack the wanted files.

    Raises UnavailableError when the host does not answer, the publisher has no checksum for the
    archive, or the checksum differs.
    """
    expected = _published_checksum(source)
    with tempfile.NamedTemporaryFile(dir=job.draft.parent, suffix=".tar.gz") as archive:
        digest, total = hashlib.sha256(), 0
        for chunk in _fetch(source.archive):
            job.commands.check()
            archive.write(chunk)
            digest.update(chunk)
            total += len(chunk)
            job.step.detail = f"{total / 1e6:.0f} MB"
        archive.flush()
        if digest.hexdigest() != expected:
            raise UnavailableError(f"{source.archive} does not have its published checksum")
        _unpack(Path(archive.name), source.files, job.draft)


def _published_checksum(source: Download) -> str:
    name = source.archive.rsplit("/", 1)[-1]
    listing = b"".join(_fetch(source.checksums)).decode("utf-8", "replace")
    for line in listing.splitlines():
        match line.split():
            case [checksum, entry] if entry.removeprefix("*").removeprefix("./") == name:
                return checksum.lower()
    raise UnavailableError(f"{source.checksums} has no checksum of {name}")


def _fetch(url: str) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_SECONDS) as answer:  # noqa: S310  the catalog's
            total = 0
            while chunk := answer.read(CHUNK_BYTES):
                total += len(chunk)
                if total > DOWNLOAD_LIMIT_BYTES:
                    raise UnavailableError(f"{url} is larger than {DOWNLOAD_LIMIT_BYTES} bytes")
                yield chunk
    except (OSError, ValueError) as error:  # URLError and timeouts are OSErrors
        raise UnavailableError(
            f"{_host(url)} did not answer ({getattr(error, 'reason', error)})"
        ) from error


def reachable(url: str) -> bool:
    try:
        socket.create_connection((_host(url), 443), CONNECT_TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url


def _unpack(archive: Path, wanted: tuple[str, ...], draft: Path) -> None:
    """Extract the wanted files, or all files of a wanted folder, flat into `draft`."""
    found = set()
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            owner = next((w for w in wanted if name == w or name.startswith(f"{w}/")), None)
            content = tar.extractfile(member) if owner and member.isfile() else None
            if owner is None or content is None:
                continue
            target = draft / Path(name).name
            with target.open("wb") as out:
                shutil.copyfileobj(content, out)
            target.chmod(0o755)
            found.add(owner)
    if missing := set(wanted) - found:
        raise UnavailableError(f"{archive.name} does not hold {', '.join(sorted(missing))}")


def debian(source: Debian, job: Job) -> None:
    """Unpack packages with what they need, and write a starter for each binary."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError("Debian packages need root on Debian or Ubuntu")
    job.step.detail = "reading package lists"
    apt = job.draft / ".apt"
    _apt(job, "apt-get", "update")
    if source.minimum:
        policy = _apt(job, "apt-cache", "policy", source.packages[0])
        candidate = re.search(r"Candidate: (\S+)", policy)
        if not candidate or version_of(candidate[1]) < version_of(source.minimum):
            has = candidate[1] if candidate else "no such package"
            raise UnavailableError(f"Debian has {source.packages[0]} {has}, not {source.minimum}")
    job.step.detail = "fetching packages"
    install = ("install", "--yes", "--no-install-recommends", "--download-only")
    _apt(job, "apt-get", *install, *source.packages)
    for package in sorted((apt / "archives").glob("*.deb")):
        job.step.detail = f"unpacking {package.name.split('_')[0]}"
        command = ("dpkg", "-x", package, job.draft / "root")
        job.commands.run(command, log="debian.log", timeout=APT_TIMEOUT_SECONDS)
    shutil.rmtree(apt)
    for binary in source.binaries:
        starter = job.draft / Path(binary).name
        starter.write_text(STARTER.format(binary=binary))
        starter.chmod(0o755)


def _apt(job: Job, program: str, *arguments: str) -> str:
    """Run apt on lists and archives of our own: it neither waits for nor changes the system."""
    apt = job.draft / ".apt"
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    options = (
        f"-oDir::State::lists={apt}/lists",
        f"-oDir::Cache={apt}",
        f"-oDir::Cache::archives={apt}/archives",
        "-oDebug::NoLocking=1",
        "-oAPT::Sandbox::User=root",
        f"-oAcquire::http::Timeout={CONNECT_TIMEOUT_SECONDS:.0f}",
        "-oAcquire::Retries=0",
    )
    command = (program, *options, *arguments)
    return job.commands.run(command, log="debian.log", timeout=APT_TIMEOUT_SECONDS)


def go_build(parts: tuple[Go, ...], job: Job) -> None:
    if not shutil.which("go"):
        raise UnavailableError("there is no Go to build it")
    for part in parts:
        module = job.modules / part.folder
        if part.module:
            _copy_files(part, part.module, job.draft, job)
        elif part.embeds:
            _go_program(part, _with_embeds(part, job), job)
            shutil.rmtree(job.draft / "source")
        else:
            _go_program(part, module, job)


def _copy_files(part: Go, owner: str, target: Path, job: Job) -> None:
    module = job.modules / part.folder
    answer = job.go(part.folder, "-C", module, "mod", "download", "-json", owner)
    folder = Path(json.loads(answer[answer.index("{") :])["Dir"])  # after lines of progress
    for file in part.files:
        shutil.copyfile(folder / file, target / Path(file).name)


def _with_embeds(part: Go, job: Job) -> Path:
    """Put our main package beside the files that it embeds; the schema carries the version."""
    source = shutil.copytree(job.modules / part.folder, job.draft / "source")
    _copy_files(part, part.embeds, source, job)
    schema = source / "schema.json"
    version = part.stamp.rpartition("=")[2]
    schema.write_text(json.dumps({**json.loads(schema.read_text()), "version": version}))
    return source


def _go_program(program: Go, module: Path, job: Job) -> None:
    def go(*arguments: str | Path, counting: str) -> str:
        seen = itertools.count(1)

        def count(_line: str) -> None:
            job.step.detail = f"{program.binary}: {counting.format(next(seen))}"

        return job.go(program.binary, *arguments, on_line=count)

    flags = ("-C", module, "-mod=readonly", f"-tags={program.tags}")
    listing = go("list", *flags, "-deps", program.package, counting="{} modules and packages read")
    total = sum(not line.startswith("go: ") for line in listing.splitlines())
    stamps = "".join(f" -X {stamp}" for stamp in program.stamp.split())
    go(
        *("build", *flags, "-v", "-trimpath", "-buildvcs=false"),
        *(f"-ldflags=-s -w{stamps}", f"-gcflags={COMPILER_FLAGS}"),
        *("-o", job.draft / program.binary, program.package),
        counting=f"{{}} of at most {total} packages built",
    )
    if program.scripts:
        folder = go("list", *flags, "-f", "{{.Dir}}", program.package, counting="{}").strip()
        for script in program.scripts:
            target = job.draft / Path(script).name
            shutil.copyfile(Path(folder) / script, target)
            target.chmod(0o755)
