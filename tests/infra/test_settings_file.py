"""A stack with a settings file and a state of its own, beside the clone's committed ones."""

import os
from pathlib import Path

import pytest
import yaml

from scripts import console
from scripts.render import files_below
from tests.support.clones import Clone, Done, clone

TIMEOUT_S = 600  # half a dozen runs of the engine, on a machine that is busy with other tests
STACK_FILE = "Pulumi.local.yaml"


@pytest.fixture
def made(tmp_path: Path) -> Clone:
    (tmp_path / "state").mkdir()
    return clone(
        tmp_path,
        {
            "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "of this file alone",  # the committed one has another
            "COINSLOT_RENDER_DIR": str(tmp_path / "out"),
            "PULUMI_SKIP_CHECKPOINTS": "true",
        },
    )


def run(made: Clone, file: Path, operation: str, *arguments: str, code: int = 0) -> Done:
    done = made.run("scripts.deploy.stack", operation, "local", "--settings", str(file), *arguments)
    assert done.code == code, done.out + done.err
    return done


def write(made: Clone, file: Path, *, tag: str, level: str) -> None:
    """Write the committed settings, changed; keep the salt that the first run has added."""
    document = yaml.safe_load((made.root / STACK_FILE).read_text())
    document["config"]["coinslot:image"]["tag"] = tag
    document["config"]["coinslot:settings"]["log_level"] = level
    del document["encryptionsalt"]
    if file.exists():
        document["encryptionsalt"] = yaml.safe_load(file.read_text())["encryptionsalt"]
    file.write_text(yaml.safe_dump(document))


def api(tmp_path: Path) -> str:
    found = files_below(tmp_path / "out", ["local"])
    return next(text for name, text in found.items() if "deployment" in name and "-api" in name)


def configured(tmp_path: Path) -> str:
    return "\n".join(files_below(tmp_path / "out", ["local"]).values())


@pytest.mark.timeout(TIMEOUT_S)
def test_a_stack_lives_by_another_file(made: Clone, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    missing = run(made, file, "up", code=console.USAGE)
    assert missing.err == f"stack: --settings: there is no file {file}\n"

    write(made, file, tag="1.0.0", level="info")
    run(made, file, "up")
    assert "coinslot:1.0.0" in api(tmp_path)
    write(made, file, tag="1.1.0", level="warning")
    run(made, Path(os.path.relpath(file, made.root)), "up")
    assert "coinslot:1.1.0" in api(tmp_path)
    assert "coinslot:1.1.0" in run(made, file, "releases").out

    back = run(made, file, "rollback", "--to", "1")
    assert f"{file} has changed since then; it is used as it is now" in back.err
    assert "coinslot:1.0.0" in api(tmp_path)
    assert "LOG_LEVEL: warning" in configured(tmp_path)
    run(made, file, "destroy")
    assert made.git("status", "--porcelain") == ""
