"""Schemathesis against the running service: whatever the document allows or forbids is tried.

It looks for 5xx, for answers that /openapi.json doesn't promise (status, type, schema, headers),
for good requests that are refused and bad ones that are taken, for tokens that are not looked at.
Its hooks make good requests possible ones (ids that exist, signed webhooks); without them nine of
ten end as 404. It runs as a program, which learns from one phase for the next.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from service.api.routes import ROUTES
from service.web.endpoint import Endpoint
from tests.resilience.conftest import Say
from tests.resilience.ledger_checks import BROKEN, rows
from tests.support.merchant import MASTER
from tests.support.services import ADMIN, Service, Services, bearer

HOOKS: Final = Path(__file__).with_name("schemathesis_hooks.py")
EXAMPLES: Final = {"short": 10, "long": 300}
"""Cases an operation and phase; what an operation's every keyword takes comes on top."""

TIMEOUT_S: Final = {"short": 1_800.0, "long": 7_200.0}
"""A bound for a machine that does much else; one minute is usual on two cores."""

ENOUGH: Final = 1_500
"""Cases of a short run; fewer would mean that schemathesis has found less to try."""

DEEP: Final = 0.5
"""Share of good requests that are done, and not only answered; without help it is far less."""

METHODS: Final = "method_not_allowed"
"""A path's methods are tried too that the document doesn't have there, so it can't name this."""

OPEN: Final = frozenset(
    {"resolvePayment", "resolveRefund", "retryRefund", "recordRefund", "dismissRefund"}
    | {"closeDisputeReview", "closeFraudWarning"}
    | {"replayParkedWebhook", "dismissParkedWebhook", "retryOrphanCapture", "recordOrphanCapture"}
)
"""Operations that are not expected to succeed: nothing here comes to need a person."""

CONFIG: Final = """
seed = 1
hooks = "{hooks}"
request-timeout = 30.0
[generation]
database = "none"
no-shrink = true
"""
WITH_TOKEN: Final = """
[auth.openapi.bearer]
bearer = "${TOKEN}"
"""


@dataclass(frozen=True)
class Answer:
    """What a case of an operation got; `good` if nothing was wrong with it, `code` of errors."""

    operation: str
    good: bool
    status: int
    code: str


@dataclass(frozen=True)
class Run:
    """What schemathesis did, and what it wrote."""

    code: int
    report: dict[str, Any]
    said: str

    @property
    def cases(self) -> int:
        """How many requests it made up."""
        found: int = self.report["test_cases"]["generated"]
        return found


@dataclass(frozen=True)
class Schemathesis:
    """Starts it against one API."""

    api: Service
    folder: Path
    timeout_s: float

    async def run(self, *options: str, token: str | None, shopper: str = "") -> Run:
        """Run all checks with a bearer token or without; raise TimeoutError.

        With a `shopper`'s token, good requests are about orders and payments that exist.
        """
        config, report = self.folder / "schemathesis.toml", self.folder / "report.json"
        config.write_text(CONFIG.format(hooks=HOOKS) + (WITH_TOKEN if token else ""))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            *(f"{self.api.url}/openapi.json", "--checks", "all", "--no-color"),
            *("--continue-on-failure", "--report-json-path", str(report), *options),
        ]
        environ = {
            **os.environ,
            **self.api.environ,
            "TOKEN": token or "",
            "SHOPPER": shopper,
            "ANSWERS": str(self.folder / "answers.jsonl"),
        }
        with (self.folder / "schemathesis.log").open("w+b") as log:
            process = await asyncio.create_subprocess_exec(
                *command, env=environ, cwd=self.folder, stdout=log, stderr=log
            )
            try:
                async with asyncio.timeout(self.timeout_s):
                    code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            log.seek(0)
            said = log.read().decode()
        assert report.exists(), said
        return Run(code, json.loads(report.read_text()), said)


def answers_in(folder: Path) -> list[Answer]:
    """Return what was answered, as the hooks have written it down."""
    lines = (folder / "answers.jsonl").read_text().splitlines()
    return [Answer(**json.loads(line)) for line in lines]


def by_class(answers: Iterable[Answer]) -> dict[str, int]:
    """Count answers by the class of their status."""
    return dict(sorted(Counter(f"{each.status // 100}xx" for each in answers).items()))


def never_done(answers: Iterable[Answer]) -> set[str]:
    """Return the operations that have not once succeeded."""
    done = {each.operation for each in answers if each.status < 300}
    return {endpoint.operation_id for endpoint in ROUTES if label(endpoint) not in done}


def described() -> set[tuple[str, str]]:
    """Return each operation with each code of an error that it may answer with."""
    return {(label(each), error.code) for each in ROUTES for error in each.every_error}


def label(endpoint: Endpoint) -> str:
    """Return what schemathesis calls an operation."""
    return f"{endpoint.method} {endpoint.path}"


def sound(run: Run, api: Service, answers: Iterable[Answer]) -> None:
    """Assert that nothing was found, that nothing was left out, and that errors are described."""
    assert run.code == 0, run.said
    assert run.report["complete"]
    assert run.report["operations"]["tested"] == len(ROUTES)
    gaps = {"undeclared_error", "undeclared_status", "unexpected_error", "unexpected_http_error"}
    assert [record for record in api.records() if record["event"] in gaps] == []
    foreign = {(each.operation, each.code) for each in answers if each.code} - described()
    assert {each for each in foreign if each[1] != METHODS} == set()


@pytest.mark.timeout(8_000)
async def test_the_service_keeps_what_its_document_promises(
    start_service: Services, tmp_path: Path, depth: str, say: Say
) -> None:
    start_service.environ["WEBHOOK_MASTER_KEYS"] = MASTER
    api, _worker = await asyncio.gather(start_service("api"), start_service("worker"))
    tool = Schemathesis(api, tmp_path, TIMEOUT_S[depth])
    token = bearer("fuzz", ADMIN, ttl_s=7_200)
    run = await tool.run("-n", str(EXAMPLES[depth]), token=token, shopper=token)
    answers = answers_in(tmp_path)
    sound(run, api, answers)
    good = [each for each in answers if each.good]
    done = [each for each in good if each.status < 300]
    assert run.cases >= ENOUGH
    assert never_done(answers) <= OPEN
    assert len(done) / len(good) > DEEP
    assert rows(api.environ["DATABASE_URL"], BROKEN) == []
    say(
        f"schemathesis, every scope: {run.cases} cases, {by_class(answers)};"
        f" of {len(good)} good requests {len(done) / len(good):.0%} were done"
    )


@pytest.mark.parametrize("scopes", ["payments:read", "payments:write", None])
@pytest.mark.timeout(8_000)
async def test_who_may_less_is_refused_as_the_document_says(
    start_service: Services, tmp_path: Path, depth: str, say: Say, scopes: str | None
) -> None:
    api = await start_service("api")
    token = bearer("fuzz", scopes, ttl_s=7_200) if scopes else None
    tool = Schemathesis(api, tmp_path, TIMEOUT_S[depth])
    examples = str(EXAMPLES[depth] // 4)
    run = await tool.run("-n", examples, "--phases", "examples,fuzzing,stateful", token=token)
    answers = answers_in(tmp_path)
    sound(run, api, answers)
    refused = 401 if scopes is None else 403
    for endpoint in ROUTES:
        if endpoint.scope not in (None, scopes):
            statuses = {each.status for each in answers if each.operation == label(endpoint)}
            assert refused in statuses, endpoint.operation_id
            assert min(statuses) >= 400, endpoint.operation_id
    say(f"schemathesis, {scopes or 'no token'}: {run.cases} cases, {by_class(answers)}")
