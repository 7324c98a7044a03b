"""Nothing secret comes out: planted values are looked for in all that the tools say and leave."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from infra.config import load
from scripts import stack as stack_command
from scripts.sides import SECRET_VALUES
from tests.infra.program import raw_config
from tests.support.clones import Clone, Done, clone
from tests.support.leaks import PLANTED

TIMEOUT_S = 900  # a dozen runs of the engine, on a machine that is busy with other tests
STACK = "staging"
PASSPHRASE = f"{PLANTED}-passphrase"
VALUES = {
    "DATABASE_URL": f"postgresql://coinslot:{PLANTED}-database@db.example:5432/coinslot",
    "JWT_SECRET": f"{PLANTED}-signs-tokens-with-32-characters",
    "STRIPE_API_KEY": f"{PLANTED}-stripe",
}


def needles() -> list[bytes]:
    """Return what must be nowhere: the planted word, as it is and in base64 at each offset."""
    texts = [PLANTED.encode()]
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + PLANTED.encode())
        # The first and the last digits depend on what stands before and after the word.
        texts.append(encoded[4 if offset else 0 : -4])
    return texts


NEEDLES = needles()


def leaks(content: bytes) -> list[bytes]:
    return [needle for needle in NEEDLES if needle in content]


@pytest.fixture
def made(tmp_path: Path) -> Clone:
    (tmp_path / "state").mkdir()
    made = clone(
        tmp_path,
        {
            "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "COINSLOT_RENDER_DIR": str(tmp_path / "out"),
        },
    )
    file = made.root / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load(file.read_text())
    del document["encryptionsalt"]  # the stack's own passphrase
    document["config"]["coinslot:secrets"] = {"source": "stack"}
    file.write_text(yaml.safe_dump(document))
    made.commit("Keep the secrets in the stack")
    return made


def pulumi(made: Clone, *arguments: str) -> Done:
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
    assert done.returncode == 0, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def said(made: Clone) -> Iterator[tuple[str, str]]:
    """Yield (what was run, what it said) for everything that a person or CI runs."""
    for operation in ("preview", "up", "refresh", "drift", "releases"):
        for extra in ((), ("--json",)):
            done = made.run("scripts.stack", operation, STACK, *extra)
            assert done.code == 0, done.out + done.err
            yield f"{operation} {extra}", done.out + done.err
    done = made.run("scripts.stack", "preview", STACK, "--raw")
    yield "preview --raw", done.out + done.err
    comment = made.root.parent / "comment.md"
    done = made.run("scripts.diff", STACK, "--json", "--markdown", str(comment))
    assert done.code == 0, done.err
    yield "diff", done.out + done.err + comment.read_text()
    done = pulumi(made, "stack", "export", "--stack", STACK)
    yield "export", done.out + done.err
    done = pulumi(made, "stack", "history", "--stack", STACK, "--json")
    yield "history", done.out + done.err


@pytest.mark.timeout(TIMEOUT_S)
def test_planted_secrets_come_out_nowhere(made: Clone, tmp_path: Path) -> None:
    pulumi(made, "stack", "init", STACK, "--no-select")
    for name, value in VALUES.items():
        pulumi(
            made,
            "config",
            "set",
            "--secret",
            "--stack",
            STACK,
            "--path",
            f"{SECRET_VALUES}.{name}",
            value,
        )
    made.commit("Set the secrets")
    shown = pulumi(made, "config", "--stack", STACK, "--show-secrets", "--json").out
    assert leaks(shown.encode()), "the values are there, and this search would find them"

    found = {what: leaks(text.encode()) for what, text in said(made)}
    assert {what: hits for what, hits in found.items() if hits} == {}
    assert len(found) == 14

    files = [path for path in tmp_path.rglob("*") if path.is_file() and ".git" not in path.parts]
    of_the_clone = {path for path in files if (made.root / ".venv") in path.parents}
    leaking = [path for path in set(files) - of_the_clone if leaks(path.read_bytes())]
    # Only the tests themselves hold the word.
    assert [path for path in leaking if made.root / "tests" not in path.parents] == []
    states = list((tmp_path / "state").rglob("*.json"))
    assert any("ciphertext" in path.read_text() for path in states)
    rendered = [path for path in files if tmp_path / "out" in path.parents]
    assert len(rendered) > 20
    secret = yaml.safe_load(next(path for path in rendered if "v1-secret" in path.name).read_text())
    assert "STRIPE_API_KEY" in secret["data"], "a key that the stack holds is seen by reviewers"


@pytest.mark.timeout(TIMEOUT_S)
def test_without_the_secrets_a_preview_works_and_an_up_on_a_cluster_refuses(made: Clone) -> None:
    command = f"pulumi config set --secret --path 'coinslot:secretValues.JWT_SECRET' -s {STACK}"
    done = made.run("scripts.stack", "preview", STACK)
    assert done.code == 0, done.err
    assert command in done.out

    made.edit(f"Pulumi.{STACK}.yaml", "coinslot:target: render", "coinslot:target: cluster")
    refused = made.run("scripts.stack", "up", STACK)
    assert refused.code == stack_command.FAILED
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
