"""The stack `local` on a cluster: a settings file of its own with generated secrets, and its state.

Everything is below the cluster's folder; the tracked Pulumi.local.yaml is only read.
"""

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from infra import labels, service_settings
from scripts import ROOT
from scripts.cluster.layout import Layout
from scripts.deploy.engine import OPERATION_TIMEOUT_S, PASSPHRASE, Engine
from scripts.platform.images import SERVICE
from scripts.programs import ProgramError

STACK: Final = "local"
NAMESPACE: Final = labels.namespace_name(STACK)
SECRET_VALUES: Final = f"{labels.PROJECT}:secretValues"
DATABASE: Final = "shop"
OWNER: Final = "coinslot_owner"
LOGIN: Final = "coinslot_login"
SECRET_BYTES: Final = 32
ADDRESS_LIMIT: Final = 30_000
"""Requests a minute: a pod that plays all customers has one address."""
UP_TIMEOUT_S: Final = 2 * OPERATION_TIMEOUT_S + 600.0
"""Above the command's own limits, of a preview and of an update."""
END_TIMEOUT_S: Final = 150.0
"""Twice what the engine is given to end what it has begun."""


def settings_file(layout: Layout) -> Path:
    return layout.folder / f"Pulumi.{STACK}.yaml"


def tracked_settings() -> dict[str, Any]:
    """Return the stack's committed settings, for a cluster and with secrets of its own."""
    path = ROOT / f"Pulumi.{STACK}.yaml"
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = document["config"]
    config[f"{labels.PROJECT}:target"] = "cluster"
    config[f"{labels.PROJECT}:secrets"] = {"source": "stack"}
    config[f"{labels.PROJECT}:settings"]["rate_limit_address"] = ADDRESS_LIMIT
    return document


def write_settings(layout: Layout, tags: Mapping[str, str]) -> Path:
    """Write the settings of today with the secrets of the first time; return the file.

    `tags` are the images' names (scripts/platform/images.py).
    """
    path, document = settings_file(layout), tracked_settings()
    config = document["config"]
    repository, _, tag = tags[SERVICE].rpartition(":")
    config[f"{labels.PROJECT}:image"] = {"repository": repository, "tag": tag}
    config[f"{labels.PROJECT}:dependencies"] = {
        name: image for name, image in tags.items() if name != SERVICE
    }
    before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {"config": {}}
    kept = before["config"].get(SECRET_VALUES)
    if kept:
        config[SECRET_VALUES] = kept
        document["encryptionsalt"] = before["encryptionsalt"]
    draft = path.with_name(f"draft-{path.name}")
    draft.write_text(yaml.safe_dump(document), encoding="utf-8")
    if not kept:
        engine = Engine(backend=layout.folder / "pulumi", config_file=draft)
        for name, text in generated(service_settings.secret_names()).items():
            engine.set_secret(STACK, f"{SECRET_VALUES}.{name}", text)
    draft.replace(path)
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


def run(layout: Layout, operation: str, *options: str) -> None:
    """Run `make <operation>` of the stack on this cluster; raise ProgramError if it fails.

    Whatever ends us first lets the command end well: it has an engine that holds a lock.
    """
    command = [
        *(sys.executable, "-m", "scripts.deploy.stack", operation, STACK),
        *(f"--settings={settings_file(layout)}", *options),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment(layout)},
        process_group=0,  # a terminal's Ctrl-C is ours to pass on, once
    )
    try:
        code = process.wait(UP_TIMEOUT_S)
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait(END_TIMEOUT_S)
        raise
    if code:
        raise ProgramError(f"make {operation} ended with exit code {code}")


def secret_values(layout: Layout) -> Mapping[str, str]:
    """Return the secrets in the clear, for whoever signs tokens or looks into the database."""
    engine = Engine(backend=layout.folder / "pulumi", config_file=settings_file(layout))
    values: dict[str, str] = json.loads(engine.config(STACK, SECRET_VALUES))
    return values
