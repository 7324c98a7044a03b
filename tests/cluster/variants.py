"""Images that are the service's but for one fault, put onto the nodes as a release would be."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.bootstrap.console import Console
from scripts.cluster import namespaces
from scripts.cluster.layout import NODES
from scripts.platform.containers import Build
from scripts.platform.images import ImageBuilder
from tests.cluster.shop import Shop

IMPORT_TIMEOUT_S: Final = 120.0
MIGRATIONS: Final = "/opt/coinslot/app/service/store/migrations"
ENTRYPOINT: Final = """\
#!/bin/sh
# PostgreSQL has no certificate here, so this role never gets to its database.
if [ "$1" = api ]; then export PGSSLMODE=verify-full; fi
exec python3 -m service "$@"
"""


def without_a_database(shop: Shop, tag: str) -> None:
    """Make an image whose API is never ready, and whose migration succeeds."""
    lines = ["COPY --chmod=0755 entrypoint /entrypoint", 'ENTRYPOINT ["/entrypoint"]']
    _variant(shop, tag, lines, {"entrypoint": ENTRYPOINT})


def with_a_broken_migration(shop: Shop, tag: str) -> None:
    """Make an image with one more migration, which the database refuses."""
    name = "9999_divided.sql"
    text = "-- A test's: the database refuses it.\nSELECT 1 / 0;\n"
    _variant(shop, tag, [f"COPY --chmod=0644 {name} {MIGRATIONS}/"], {name: text})


def _variant(shop: Shop, tag: str, lines: list[str], files: Mapping[str, str]) -> None:
    image = shop.settings()["config"]["coinslot:image"]
    original = f"{image['repository']}:{image['tag']}"
    with tempfile.TemporaryDirectory(prefix="coinslot-variant-") as scratch:
        folder = Path(scratch)
        for name, text in files.items():
            (folder / name).write_text(text)
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text("\n".join([f"FROM {original}", *lines, ""]))
        archive = folder / "image.tar"
        builder = ImageBuilder(Console(name="test"))
        build = Build(f"{image['repository']}:{tag}", dockerfile=dockerfile, context=folder)
        builder.build(build)
        builder.engine.save(build.tag, archive)
        for node in NODES:
            command = ("ctr", "-n", "k8s.io", "images", "import", str(archive))
            inside = namespaces.enter(shop.layout, node, *command, mounts=True)
            subprocess.run(inside, check=True, capture_output=True, timeout=IMPORT_TIMEOUT_S)
