"""Preview, update, refresh or destroy one stack with the real engine; look for drift, go back.

  preview    what `up` would change
  up         make it so, if the policy pack lets it, and record the release in the stack's history
  refresh    take over into the state what is really there
  drift      name what is no longer as it was applied; changes nothing
  releases   list what was released
  rollback   apply an earlier release again: --to NUMBER or --to COMMIT
  unlock     free it from what an engine that was killed has left
  destroy    remove it

Exit codes: 0 it worked, 1 the engine failed or a rollback was refused, 2 wrong usage or a missing
tool, 3 there is drift, 130 after Ctrl-C, 143 after SIGTERM. With --json stdout holds JSON, and all
else is on stderr.
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Final, get_args

from infra import labels
from infra.stacks import STACKS
from scripts import console
from scripts.deploy import preflight, releases, revisions, rollback, unlock, versions
from scripts.deploy.engine import (
    SUCCEEDED,
    Engine,
    EngineFailedError,
    Operation,
    Outcome,
)
from scripts.deploy.preflight import PreflightError
from scripts.deploy.releases import Release, ReleaseError
from scripts.deploy.revisions import SHORT, TARGET, Repository, RevisionError
from scripts.deploy.unlock import UnlockError
from scripts.deploy.watch import RolloutError, Watch
from scripts.programs import ProgramError

DRIFTED: Final = 3
FAILURES: Final = (
    EngineFailedError,
    TimeoutExpired,
    PreflightError,
    ReleaseError,
    RevisionError,
    UnlockError,
)
"""What ends a command with a message and exit code 1."""
WORDS: Final = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}


@console.command(
    "stack", failed=FAILURES, usage=(ProgramError,), interrupted="interrupted; the state is saved"
)
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.deploy.stack", __doc__)
    parser.add_argument("operation", choices=(*get_args(Operation), *COMMANDS))
    parser.add_argument("stack", choices=STACKS)
    parser.add_argument("--to", metavar="RELEASE", help="for rollback: its number or commit")
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="the stack's settings, instead of Pulumi.<stack>.yaml of this clone",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--yes-destroy-prod", action="store_true", help="without it, prod is never destroyed"
    )
    options = parser.parse_args(arguments)
    if refused := _refusal(options):
        console.error("stack", refused)
        return console.USAGE
    return COMMANDS.get(options.operation, _operate)(options)


def _refusal(options: argparse.Namespace) -> str:
    if options.settings and not options.settings.is_file():
        return f"--settings: there is no file {options.settings}"
    if options.operation == "destroy" and options.stack == "prod" and not options.yes_destroy_prod:
        return (
            "destroying prod needs --yes-destroy-prod: "
            "python -m scripts.deploy.stack destroy prod --yes-destroy-prod"
        )
    if options.operation == "rollback" and not options.to:
        return (
            f"say which release: make rollback STACK={options.stack} TO=<number or commit>; "
            f"make releases STACK={options.stack} lists them"
        )
    return ""


def _engine(options: argparse.Namespace) -> Engine:
    return Engine(config_file=options.settings and options.settings.resolve())


def _operate(options: argparse.Namespace) -> int:
    engine = _engine(options)
    record = None
    if options.operation == "up":
        record = releases.of_tree(engine.settings_file(options.stack), Repository())
        _check(engine, options, quiet=True)
        outcome = _apply(engine, options, record)
        _prune(engine, options.stack)
    elif options.operation == "preview":
        outcome = _check(engine, options)
    else:
        outcome = _run(engine, options.operation, options)
    lines = [summary(outcome)]
    if record:
        lines.append(f"released {record.message.splitlines()[0].removeprefix('release ')}")
    _print(options, _document(outcome, record), lines)
    return 0


def _print(options: argparse.Namespace, document: object, lines: Sequence[str]) -> None:
    print(json.dumps(document) if options.json else "\n".join(lines))


def _check(engine: Engine, options: argparse.Namespace, *, quiet: bool = False) -> Outcome:
    """Preview, and ask what an update would ask too late or never.

    The policy pack sees what would be applied, and a cluster says whether it knows such objects.
    """
    cluster = preflight.Cluster() if _on_cluster(engine, options.stack) else None
    try:
        outcome = _run(engine, "preview", options, quiet=quiet)
    except EngineFailedError as error:
        raise EngineFailedError(f"{error}; nothing was applied") from error
    if cluster:
        for note in preflight.check(outcome.events, cluster):
            console.note(f"{options.operation}: {note}")
    return outcome


def _apply(engine: Engine, options: argparse.Namespace, record: Release) -> Outcome:
    """Run `up`; on a cluster, end it in time when it can't succeed, and say how to go back."""
    watch = None
    if _on_cluster(engine, options.stack):
        preflight.Cluster()  # it answers; a rollback has not asked yet
        watch = Watch(labels.namespace_name(options.stack), options.operation)
    try:
        return _run(engine, "up", options, record, watch)
    except RolloutError as error:
        remedy = _remedy(engine, options, record)
        if options.json:
            failure = {**error.trouble.document(), "remedy": remedy}
            what = {"operation": options.operation, "stack": options.stack, "failed": failure}
            print(json.dumps(what))
        raise EngineFailedError(f"{error}; {remedy}") from error


def _remedy(engine: Engine, options: argparse.Namespace, record: Release) -> str:
    known = releases.recorded(engine.history(options.stack))
    good = [each for each in known if each.is_usable and each.number != record.back_to]
    if not good:
        return "there is no earlier release to go back to: mend the cause, and `make up` again"
    settings = f" SETTINGS={shlex.quote(str(options.settings))}" if options.settings else ""
    return f"go back: make rollback STACK={options.stack} TO={good[-1].number}{settings}"


def _prune(engine: Engine, stack: str) -> None:
    """Remove old configuration from a cluster; a failure does no harm and is only noted."""
    if not _on_cluster(engine, stack):
        return
    try:
        for removed in versions.prune(labels.namespace_name(stack)):
            console.note(f"up: no revision refers to {removed} any more: removed")
    except ProgramError as error:
        console.note(f"up: old versions of the configuration were left alone: {error}")


def _on_cluster(engine: Engine, stack: str) -> bool:
    target: str = revisions.settings(engine.settings_file(stack))["config"].get(TARGET, "")
    return target == "cluster"


def _run(
    engine: Engine,
    operation: Operation,
    options: argparse.Namespace,
    record: Release | None = None,
    watch: Watch | None = None,
    *,
    quiet: bool = False,
) -> Outcome:
    message = record.message if record else ""
    if not quiet:
        shown = replace(engine, output=sys.stderr if options.json else None)
        return shown.run(operation, options.stack, message, watch)
    with tempfile.TemporaryFile("w+") as log:
        try:
            return replace(engine, output=log).run(operation, options.stack)
        except EngineFailedError:
            log.seek(0)
            sys.stderr.write(log.read())
            raise


def _existing(options: argparse.Namespace) -> Engine:
    engine = _engine(options)
    if not engine.exists(options.stack):
        raise EngineFailedError(f"there is no stack {options.stack} yet: make up first")
    return engine


def _drift(options: argparse.Namespace) -> int:
    # Not above: the rules of reviews and the SDK come with it, which take longer than a preview's
    # own work and which nothing else here needs.
    from scripts.deploy import drift  # noqa: PLC0415

    engine = _existing(options)
    outcome = _run(engine, "drift", options, quiet=True)
    found = drift.found(outcome.events)
    what = f"{len(found)} objects are not as applied" if found else "everything is as applied"
    lines = [line for each in found for line in each.lines()]
    lines.append(f"drift {options.stack}: {what}, {outcome.seconds:.1f} s")
    document = {"stack": options.stack, "drift": [each.document() for each in found]}
    _print(options, document, lines)
    return DRIFTED if found else 0


def _releases(options: argparse.Namespace) -> int:
    found = releases.recorded(_engine(options).history(options.stack))
    lines = [_line(release) for release in found] or [f"{options.stack} was never released"]
    _print(options, [asdict(release) for release in found], lines)
    return 0


def _line(release: Release) -> str:
    marks = [
        *([f"back to {release.back_to}"] if release.back_to else ()),
        *(["uncommitted changes"] if release.dirty else ()),
        *([release.result.upper()] if release.result != SUCCEEDED else ()),
    ]
    return (
        f"{release.number:>4}  {release.when[:16].replace('T', ' ')}  {release.commit[:SHORT]}  "
        f"{release.image}  config {release.config}  schema {release.migrations}  {release.who}"
        + (f"  ({', '.join(marks)})" if marks else "")
    )


def _rollback(options: argparse.Namespace) -> int:
    repository = Repository()
    engine = _engine(options)
    known = releases.recorded(engine.history(options.stack))
    to = releases.find(known, options.to)
    file = engine.settings_file(options.stack)
    now = releases.of_tree(file, repository)
    planned = rollback.plan(repository, known, to, now.who)
    console.note(f"rollback: to release {to.number}: {_line(to).strip()}")
    if planned.kept:
        console.note(f"rollback: these migrations stay, they only add: {', '.join(planned.kept)}")
    if options.settings and now.config != to.config:
        console.note(f"rollback: {file} has changed since then; it is used as it is now")
    environ = rollback.with_image(engine.environ, to, committed=not options.settings)
    with rollback.tree(repository, planned, options.stack) as root:
        there = replace(engine, root=root, environ=environ)
        outcome = _apply(there, options, planned.record)
    newer = "The code here is" if options.settings else f"{file.name} and the code here are"
    back = (
        f"{options.stack} is back at release {to.number}. {newer} still newer: "
        "the next `make up` goes forward again"
    )
    _print(options, _document(outcome, planned.record), [summary(outcome), back])
    return 0


def _unlock(options: argparse.Namespace) -> int:
    engine = _existing(options)
    done = unlock.free(engine, options.stack)
    what = "free again" if done else "free, and was before"
    lines = [*done, f"{options.stack} is {what}"]
    _print(options, {"stack": options.stack, "done": done}, lines)
    return 0


def _document(outcome: Outcome, record: Release | None) -> dict[str, object]:
    return {
        "operation": outcome.operation,
        "stack": outcome.stack,
        "changes": dict(outcome.changes),
        "seconds": outcome.seconds,
        **({"release": asdict(record)} if record else {}),
    }


def summary(outcome: Outcome) -> str:
    counts = {kind: n for kind, n in sorted(outcome.changes.items()) if n}
    text = ", ".join(f"{count} {WORDS.get(kind, kind)}" for kind, count in counts.items())
    mood = " (nothing done yet)" if outcome.operation == "preview" and not outcome.unchanged else ""
    what = text or "nothing to do"
    return f"{outcome.operation} {outcome.stack}: {what}{mood}, {outcome.seconds:.1f} s"


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "drift": _drift,
    "releases": _releases,
    "rollback": _rollback,
    "unlock": _unlock,
}
"""What is more than one run of the engine."""


if __name__ == "__main__":
    sys.exit(main())
