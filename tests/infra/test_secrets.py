"""Nothing secret comes out: planted values are looked for in all that the tools say and leave."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from infra.config import load
from scripts.deploy.revisions import SECRET_VALUES
from tests.infra.program import raw_config
from tests.support.clones import Clone, Done, clone, home_with_logs
from tests.support.leaks import PLANTED
from tests.support.planted import leaks, written

TIMEOUT_S = 900  # some ten runs of the engine, on a machine that is busy with other tests
STACK = "staging"
SECRET_FILE = "v1-secret-coinslot-staging-coinslot-secrets-*.yaml"
PASSPHRASE = f"{PLANTED}-passphrase"
VALUES = {
    "DATABASE_URL": f"postgresql://coinslot:{PLANTED}-database@db.example:5432/coinslot",
    "JWT_SECRET": f"{PLANTED}-signs-tokens-with-32-characters",
    "STRIPE_API_KEY": f"{PLANTED}-stripe",
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Clone]:
    (tmp_path / "state").mkdir()
    made = clone(
        tmp_path,
        {
            "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "COINSLOT_RENDER_DIR": str(tmp_path / "out"),
            "PULUMI_HOME": str(home_with_logs(tmp_path)),
        },
    )
    file = made.root / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load(file.read_text())
    del document["encryptionsalt"]  # the stack's own passphrase
    document["config"]["coinslot:secrets"] = {"source": "stack"}
    file.write_text(yaml.safe_dump(document))
    made.commit("Keep the secrets in the stack")
    yield made
    # Whoever searches the output of the whole run would read these bytes as text.
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


def pulumi(made: Clone, *arguments: str, code: int = 0) -> Done:
    done = subprocess.run(
        (
            *(made.root / ".venv" / "bin" / "pulumi", "--non-interactive", "--cwd", made.root),
            *arguments,
        ),
        env={**os.environ, **made.environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def keep(made: Clone, values: Mapping[str, str]) -> None:
    """Put secrets into the stack's file, as the documentation says, if with less typing."""
    pairs = [
        w for name, text in values.items() for w in ("--secret", f"{SECRET_VALUES}.{name}={text}")
    ]
    pulumi(made, "config", "set-all", "--stack", STACK, "--path", *pairs)


def ran(made: Clone, *arguments: str, code: int = 0) -> str:
    done = made.run("scripts.deploy.stack", *arguments[:1], STACK, *arguments[1:])
    assert done.code == code, done.out + done.err
    return done.out + done.err


def every_text(made: Clone) -> Iterator[tuple[str, str]]:
    """Yield (what was run, what it said) for everything that a person or CI runs."""
    yield "up", ran(made, "up")
    keep(made, {"JWT_SECRET": f"{PLANTED}-is-another-one-of-32-characters"})
    yield "preview of a change", ran(made, "preview")
    yield "drift", ran(made, "drift")
    yield "drift --json", ran(made, "drift", "--json")
    yield "refresh --json", ran(made, "refresh", "--json")
    yield "releases", ran(made, "releases")
    yield "releases --json", ran(made, "releases", "--json")
    comment = made.root.parent / "comment.md"
    done = made.run("scripts.deploy.diff", STACK, "--json", "--markdown", str(comment))
    assert done.code == 0, done.err
    yield "diff", done.out + done.err + comment.read_text()
    done = pulumi(made, "stack", "export", "--stack", STACK)
    yield "export", done.out + done.err
    done = pulumi(made, "stack", "history", "--stack", STACK, "--json")
    yield "history", done.out + done.err


@pytest.mark.timeout(TIMEOUT_S)
def test_planted_secrets_come_out_nowhere(made: Clone, tmp_path: Path) -> None:
    pulumi(made, "stack", "init", STACK, "--no-select")
    keep(made, VALUES)
    made.commit("Set the secrets")
    shown = pulumi(made, "config", "--stack", STACK, "--show-secrets", "--json").out
    assert leaks(shown.encode()), "the values are there, and this search would find them"

    found = {what: leaks(text.encode()) for what, text in every_text(made)}
    assert {what: hits for what, hits in found.items() if hits} == {}
    assert len(found) == 10

    files = written(tmp_path)
    leaking = [path for path, content in files.items() if leaks(content)]
    # Only the tests themselves hold the word.
    assert [path for path in leaking if made.root / "tests" not in path.parents] == []
    states = [path for path in files if tmp_path / "state" in path.parents]
    assert any(b"ciphertext" in files[path] for path in states)
    logs = [path for path in files if tmp_path / "home" / "logs" in path.parents]
    assert sum(len(files[path]) for path in logs) > 1_000_000, "the engine's own logs are looked at"
    assert len([path for path in files if tmp_path / "out" in path.parents]) > 20
    (secret,) = (tmp_path / "out" / STACK / "1-manifest").glob(SECRET_FILE)
    data = yaml.safe_load(secret.read_text())["data"]
    assert "STRIPE_API_KEY" in data, "a key that the stack holds is seen by reviewers"


@pytest.mark.timeout(TIMEOUT_S)
def test_without_the_secrets_a_preview_works_and_an_up_on_a_cluster_refuses(
    made: Clone, tmp_path: Path
) -> None:
    command = f"pulumi config set --secret --path 'coinslot:secretValues.JWT_SECRET' -s {STACK}"
    assert command in ran(made, "preview")
    assert list(tmp_path.glob(f"home/logs/*{STACK}*")) == [], "it needs twice the time with a log"

    made.edit(f"Pulumi.{STACK}.yaml", "coinslot:target: render", "coinslot:target: cluster")
    # The target previews first, and would need a cluster for that.
    refused = pulumi(made, "up", "--yes", "--skip-preview", "--stack", STACK, code=1)
    assert f"Pulumi.{STACK}.yaml lacks 4 secrets that its pods can't start without" in refused.out
    for name in ("DATABASE_URL", "JWT_SECRET", "SIMULATOR_API_KEY", "LIBRARY_TOKEN"):
        assert command.replace("JWT_SECRET", name) in refused.out
    assert "Traceback" not in refused.out + refused.err


@pytest.mark.parametrize(
    "wrong",
    [
        {"settings": {"database_url": VALUES["DATABASE_URL"]}},
        {"settings": {"jwt_secret": VALUES["JWT_SECRET"]}},
        {"secretValues": VALUES},
        {"secrets": {"source": "stack"}, "secretValues": VALUES},
        {"settings": {"library_url": f"http://user:{PLANTED}@library:8080"}},
    ],
    ids=lambda wrong: ",".join(wrong),
)
def test_a_secret_that_stands_in_the_wrong_place_is_refused_and_not_repeated(
    wrong: dict[str, object],
) -> None:
    raw = raw_config("prod") | {key: json.dumps(value) for key, value in wrong.items()}
    with pytest.raises(Exception, match=r"Pulumi\.prod\.yaml has") as refused:
        load("prod", raw)
    assert leaks(str(refused.value).encode()) == []
