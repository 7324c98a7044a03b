"""Preview, update, refresh or destroy one stack with the real engine.

Exit codes: 0 it worked, 1 the engine failed, 2 wrong usage or a missing tool, 130 after Ctrl-C.
With --json the last word on stdout is a summary, and the engine speaks on stderr.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from subprocess import TimeoutExpired
from typing import Final, get_args

from infra.config import STACKS
from scripts.engine import Engine, EngineFailedError, EngineMissingError, Operation, Outcome

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
VERBS: Final = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one operation; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.operation == "destroy" and options.stack == "prod" and not options.yes_destroy_prod:
        print(
            "stack: destroying prod needs --yes-destroy-prod: "
            "python -m scripts.stack destroy prod --yes-destroy-prod",
            file=sys.stderr,
        )
        return USAGE
    engine = Engine(output=sys.stderr if options.json else None)
    try:
        outcome = engine.run(options.operation, options.stack)
    except EngineMissingError as error:
        print(f"stack: {error}", file=sys.stderr)
        return USAGE
    except (EngineFailedError, TimeoutExpired) as error:
        print(f"stack: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("stack: interrupted; the state is saved", file=sys.stderr)
        return INTERRUPTED
    print(json.dumps(asdict(outcome)) if options.json else summary(outcome))
    return 0


def summary(outcome: Outcome) -> str:
    """Return one line: what the operation did, or would do."""
    counts = {kind: n for kind, n in sorted(outcome.changes.items()) if n}
    words = ", ".join(f"{count} {VERBS.get(kind, kind)}" for kind, count in counts.items())
    mood = " (nothing done yet)" if outcome.operation == "preview" and not outcome.unchanged else ""
    what = words or "nothing to do"
    return f"{outcome.operation} {outcome.stack}: {what}{mood}, {outcome.seconds:.1f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.stack", description=__doc__)
    parser.add_argument("operation", choices=get_args(Operation))
    parser.add_argument("stack", choices=STACKS)
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    parser.add_argument(
        "--yes-destroy-prod", action="store_true", help="without it, prod is never destroyed"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
