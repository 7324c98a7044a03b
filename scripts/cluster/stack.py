"""The stack `local` on a cluster: a settings file of its own with generated secrets, and its state.

Everything is below the cluster's folder; the tracked Pulumi.local.yaml is only read.
"""

import json
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from infra import labels, service_settings
from scripts import ROOT
from scripts.cluster.layout import Layout
from scripts.deploy.engine import PASSPHRASE, Engine
from scripts.programs import ProgramError

STACK: Final = "local"
NAMESPACE: Final = labels.namespace_name(STACK)
SECRET_VALUES: Final = f"{labels.PROJECT}:secretValues"
DATABASE: Final = "shop"
OWNER: Final = "coinslot_owner"
LOGIN: Final = "coinslot_login"
SECRET_BYTES: Final = 32
UP_TIMEOUT_S: Final = 1_800.0


def settings_file(layout: Layout) -> Path:
    return layout.folder / f"Pulumi.{STACK}.yaml"


def tracked_settings() -> dict[str, Any]:
    """Return the stack's committed settings, for a cluster and with secrets of its own."""
    path = ROOT / f"Pulumi.{STACK}.yaml"
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["config"] |= {
        f"{labels.PROJECT}:target": "cluster",
        f"{labels.PROJECT}:secrets": {"source": "stack"},
    }
    return document


def write_settings(layout: Layout) -> Path:
    """Write the settings of today with the secrets of the first time; return the file."""
    path, document = settings_file(layout), tracked_settings()
    if path.exists():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["config"][SECRET_VALUES] = before["config"][SECRET_VALUES]
        document["encryptionsalt"] = before["encryptionsalt"]
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    engine = Engine(backend=layout.folder / "pulumi", config_file=path)
    values = generated(service_settings.secret_names())
    engine.set_secrets(STACK, {f"{SECRET_VALUES}.{key}": text for key, text in values.items()})
    return path


def generated(names: Iterable[str]) -> dict[str, str]:
    """Return a new value for each secret that the stack `local` needs."""
    postgresql, valkey = (labels.resource_name(each) for each in (labels.POSTGRESQL, labels.VALKEY))

    def login(user: str) -> str:
        password = secrets.token_hex(SECRET_BYTES)
        return f"postgresql://{user}:{password}@{postgresql}:{labels.POSTGRESQL_PORT}/{DATABASE}"

    formed = {
        "DATABASE_URL": login(LOGIN),
        "MIGRATION_DATABASE_URL": login(OWNER),
        "REDIS_URL": f"redis://{valkey}:{labels.VALKEY_PORT}/0",
        "WEBHOOK_MASTER_KEYS": f"first:{secrets.token_hex(SECRET_BYTES)}",
    }
    random = {"JWT_SECRET", "SIMULATOR_API_KEY", "SIMULATOR_WEBHOOK_SECRETS", "LIBRARY_TOKEN"}
    return {
        name: formed.get(name) or secrets.token_hex(SECRET_BYTES)
        for name in names
        if name in formed or name in random
    }


def environment(layout: Layout) -> dict[str, str]:
    """Return the variables with which make, pulumi and kubectl work on this cluster."""
    return {
        "KUBECONFIG": str(layout.kubeconfig),
        "PULUMI_BACKEND_URL": (layout.folder / "pulumi").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "SETTINGS": str(settings_file(layout)),
        "STACK": STACK,
    }


def write_environment(layout: Layout) -> Path:
    """Write the variables as a file for `source`."""
    path = layout.folder / "env"
    lines = (f"export {name}={shlex.quote(text)}\n" for name, text in environment(layout).items())
    path.write_text("".join(lines), encoding="utf-8")
    return path


def run(layout: Layout, operation: str, *options: str, quiet: bool = False) -> str:
    """Run `make <operation>` of the stack on this cluster; raise ProgramError if it fails."""
    command = [
        *(sys.executable, "-m", "scripts.deploy.stack", operation, STACK),
        *(f"--settings={settings_file(layout)}", *options),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment(layout)},
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        timeout=UP_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        said = f":\n{done.stdout}" if quiet else ""
        raise ProgramError(f"make {operation} ended with exit code {done.returncode}{said}")
    return done.stdout or ""


def secret_values(layout: Layout) -> Mapping[str, str]:
    """Return the secrets in the clear, for whoever signs tokens or looks into the database."""
    engine = Engine(backend=layout.folder / "pulumi", config_file=settings_file(layout))
    values: dict[str, str] = json.loads(engine.config(STACK, SECRET_VALUES))
    return values
