"""Which code ran on which machine: figures of different ones can't be compared."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import psutil

ROOT: Final = Path(__file__).parent.parent
GIT_TIMEOUT_S: Final = 10.0


def revision(root: Path = ROOT) -> str:
    """Return the commit, with `+` when files differ from it; `unknown` outside a repository."""
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}+" if changed else commit


def machine() -> dict[str, Any]:
    """Return what the run's speed depends on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def versions() -> dict[str, str]:
    """Return the versions of what makes and serves the load."""
    packages = ("coinslot", "locust", "aiohttp")
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in packages
    }


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607  the one on PATH
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=GIT_TIMEOUT_S,
    )
    return done.stdout.strip()
