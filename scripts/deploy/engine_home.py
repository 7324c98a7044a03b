"""A Pulumi home in which the engine keeps no logs.

The engine logs everything of every run below its home, megabytes each and a fifth of its time, and
has no setting against it. Where its folder of logs can't be one, it goes without.
"""

from collections.abc import Mapping
from pathlib import Path


def without_logs(folder: Path, environ: Mapping[str, str]) -> Path:
    """Make such a home, unless `folder` is one already, with the plugins of the present home."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "logs").touch()
        plugins = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
        if plugins.is_dir():
            (folder / "plugins").symlink_to(plugins.resolve())
    return folder.resolve()
