"""An audit finds what is planted, and never takes silence for "clean"."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from py_compile import PycInvalidationMode
from py_compile import compile as compile_
from typing import Any

import pytest

from scripts import audit
from scripts.audit import EXIT_FOUND, EXIT_NOT_ASKED, Check
from scripts.platform import image_checks

HASH = "0" * 64
GOOD = f"""# a comment
msgspec==0.22.0 \\
    --hash=sha256:{HASH} \\
    --hash=sha256:{HASH}
    # via something
"""
INSIDE = {
    **{kind: [] for kind in image_checks.REASONS},
    "writable": ["/tmp"],  # noqa: S108  as every Debian
    "files": ["9000"],
    "user": ["10001", "10001"],
}


def test_the_lock_of_the_image_is_pinned_and_licensed() -> None:
    pinned, _ = audit.read(audit.LOCK)
    assert audit.check_pins(audit.LOCK).found == ()
    assert audit.check_licenses(pinned, audit.installed_licenses()).found == ()
    assert len(pinned) > 20


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    "bad",
    [
        "aiohttp>=3 --hash=sha256:" + HASH,
        "aiohttp==3.14.5",
        "aiohttp==3.14.5 --hash=md5:" + "0" * 32,
        "aiohttp @ https://example.com/aiohttp.whl",
        "git+https://example.com/aiohttp",
        "-e ./aiohttp",
        "--extra-index-url https://example.com/simple",
        "aiohttp==3.* --hash=sha256:" + HASH,
    ],
)
def test_a_line_that_is_not_pinned_is_found(bad: str, lock: Path) -> None:
    assert audit.check_pins(lock).found == ()
    lock.write_text(GOOD + bad + "\n")
    found = audit.check_pins(lock).found
    assert len(found) == 1
    assert bad[:10] in found[0]


def test_a_package_that_is_locked_twice_is_found(lock: Path) -> None:
    lock.write_text(GOOD + GOOD)
    assert audit.check_pins(lock).found == ("msgspec is locked twice",)


@pytest.mark.parametrize(
    ("given", "fine"),
    [
        ("MIT", True),
        ("License :: OSI Approved :: Apache Software License", True),
        ("GPL-3.0-only OR MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("Apache-2.0 AND GPL-3.0-only", False),
        ("AGPL-3.0-only", False),
        ("(MIT AND GPL-3.0-only)", False),
        ("LGPL with exceptions", False),
        ("", False),
    ],
)
def test_a_license_that_is_not_allowed_is_found(given: str, *, fine: bool) -> None:
    package = ("msgspec", "0.22.0")
    found = audit.check_licenses([package], {package: [given]}).found
    assert (found == ()) is fine


def test_each_license_that_a_package_declares_is_allowed() -> None:
    package = ("msgspec", "0.22.0")
    bsd = "License :: OSI Approved :: BSD License"
    found = audit.check_licenses([package], {package: ["GPL-3.0-only", bsd]}).found
    assert found == (f"msgspec 0.22.0: GPL-3.0-only, {bsd}",)


def test_an_exception_is_of_one_package_and_a_license_of_one_version() -> None:
    package, other = ("psycopg2-binary", "2.9"), ("psycopg2-binary", "3.0")
    licenses = {package: list(audit.EXCEPTIONS.values())}
    assert audit.check_licenses([package], licenses).found == ()
    assert audit.check_licenses([other], licenses).found == (
        "psycopg2-binary 3.0: no license is declared",
    )


def answering(answer: Any) -> audit.Run:
    def run(_arguments: Sequence[str]) -> str:
        return answer if isinstance(answer, str) else json.dumps(answer)

    return run


CLEAN = {"name": "aiohttp", "version": "1", "vulns": []}
HURT = {**CLEAN, "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
SKIPPED = {"name": "aiohttp", "skip_reason": "Dependency not found"}


def test_an_advisory_is_found_also_by_a_service_that_does_not_know_all() -> None:
    found = audit.check_advisories(Path("x"), 2, answering({"dependencies": [HURT, SKIPPED]}))
    assert found.found == ("aiohttp 1: PYSEC-1 (fixed in 2)",)
    clean = audit.check_advisories(Path("x"), 1, answering({"dependencies": [CLEAN]}))
    assert (clean.found, clean.not_asked) == ((), "")


@pytest.mark.parametrize("answer", ["", "no json", "[]", {"dependencies": [CLEAN, SKIPPED]}])
def test_no_answer_is_not_a_clean_one(answer: Any) -> None:
    check = audit.check_advisories(Path("x"), 2, answering(answer))
    assert "no advisory service knows these packages" in check.not_asked
    assert audit.exit_code([check]) == EXIT_NOT_ASKED


def test_a_withdrawn_release_is_found() -> None:
    about = {"name": "aiohttp", "version": "1"}
    taken = {"metadata": about, "is_yanked": True}
    kept = {"metadata": about, "is_yanked": False}
    check = audit.check_withdrawn(Path("x"), 1, answering({"install": [taken, kept]}))
    assert check.found == ("aiohttp 1 was withdrawn",)
    assert audit.check_withdrawn(Path("x"), 1, answering({"install": [kept]})).found == ()
    assert audit.check_withdrawn(Path("x"), 1, answering("")).not_asked


def test_the_exit_code_tells_found_from_not_asked() -> None:
    clean, found = Check("a", "1 thing"), Check("b", "1 thing", ("bad",))
    asked = Check("c", "1 thing", not_asked="nobody there")
    assert audit.exit_code([clean]) == 0
    assert audit.exit_code([clean, asked]) == EXIT_NOT_ASKED
    assert audit.exit_code([asked, found]) == EXIT_FOUND
    assert [line[:9].strip() for line in audit.lines([clean, found, asked])] == [
        *("ok", "FOUND", "", "NOT ASKED", "")
    ]


def test_what_is_planted_in_a_root_is_found(tmp_path: Path) -> None:
    planted = {
        "usr/bin/gcc-12": "",
        "usr/bin/pip3.11": "",
        "usr/lib/python3/dist-packages/setuptools/__init__.py": "",
        "opt/coinslot/.env": "",
        "opt/coinslot/note.txt": f"-----BEGIN RSA PRIVATE KEY-----\n{'A' * 64}\n",
        "bin/su": "",
        "etc/ssl/certs/a.pem": f"-----BEGIN CERTIFICATE-----\n{'A' * 64}\n",
        "usr/bin/cat": "",
        "opt/coinslot/lib/pytest/__init__.py": "",
        "proc/1/bin/gcc": "",
    }
    for name, content in planted.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "bin/su").chmod(0o4755)
    source = tmp_path / "opt/coinslot/lib/pytest/__init__.py"
    for mode in (PycInvalidationMode.TIMESTAMP, PycInvalidationMode.UNCHECKED_HASH):
        compile_(str(source), cfile=f"{source.parent}/{mode.name}.pyc", invalidation_mode=mode)
    seen = subprocess.run(
        [sys.executable, str(image_checks.SCAN), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "STRIPE_API_KEY": "x", "PORT": "1"},
    ).stdout
    found = json.loads(seen.removeprefix("SCAN "))
    assert found["setuid"] == ["/bin/su"]
    assert found["compilers"] == ["/usr/bin/gcc-12"]
    assert sorted(found["installers"]) == [
        "/usr/bin/pip3.11",
        "/usr/lib/python3/dist-packages/setuptools",
    ]
    assert sorted(found["secrets"]) == ["/opt/coinslot/.env", "/opt/coinslot/note.txt"]
    assert found["development"] == ["/opt/coinslot/lib/pytest"]
    assert found["dated"] == ["/opt/coinslot/lib/pytest/TIMESTAMP.pyc"]
    assert found["settings"] == ["STRIPE_API_KEY"]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"setuid": ["/bin/su"]}, "/bin/su runs with its owner's rights"),
        ({"dated": ["/opt/x.pyc"]}, "/opt/x.pyc is compiled for a time of its source"),
        ({"development": ["/opt/x/pytest"]}, "/opt/x/pytest belongs to the stage development"),
        ({"user": ["0", "0"]}, "runs as 0:0"),
        ({"writable": ["/opt/coinslot"]}, "/opt/coinslot can be written to"),
        ({"settings": ["JWT_SECRET"]}, "JWT_SECRET is a secret's setting"),
        ({"files": ["3"]}, "only 3 files were seen"),
    ],
)
def test_an_image_is_checked_by_what_is_inside(change: dict[str, list[str]], detail: str) -> None:
    assert image_checks.problems(INSIDE) == []
    (found,) = image_checks.problems({**INSIDE, **change})
    assert detail in found


def test_the_verb_writes_a_bill_and_fails_for_a_planted_line(tmp_path: Path) -> None:
    planted, written = tmp_path / "runtime.txt", tmp_path / "bom.json"
    planted.write_text(audit.LOCK.read_text() + "requests==2.0\n")
    command = [sys.executable, "-m", "scripts.audit", "--offline", "--no-image", "--json"]
    done = subprocess.run(
        [*command, "--lock", str(planted), "--bill", str(written)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_FOUND, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["pins"]["found"] == ["not pinned by version and sha256: requests==2.0"]
    assert checks["licenses"]["found"] == []
    bill = json.loads(written.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {"aiohttp", "redis"} <= {each["name"] for each in bill["components"]}
