"""tools/bootstrap: see --help."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from scripts.bootstrap import store
from scripts.bootstrap.commands import BootstrapError, CanceledError, Commands
from scripts.bootstrap.components import NOT_BY_DEFAULT, components, link_into_venv
from scripts.bootstrap.console import Console
from scripts.bootstrap.tools import Place

ROOT: Final = Path(__file__).resolve().parents[2]
EXIT_FAILED: Final = 1
TICK_SECONDS: Final = 0.2
EXIT_INTERRUPTED: Final = 130  # the shell's convention for SIGINT

EPILOG: Final = """\
Each tool is looked for on PATH, then in this user's cache, then got: the tool's own official
download, Debian packages if you are root, a Go build; tools/*/tool.toml says from where. The
cache is ${XDG_CACHE_HOME:-$HOME/.cache}/coinslot, one folder a version, shared by all clones;
.tools/bin and .venv/bin of this clone link to it. Safe to run again, and side by side.
"""


def main(arguments: Sequence[str]) -> int:
    os.environ.pop("PYTHONPATH", None)  # what we start has its own environment
    os.environ.pop("VIRTUAL_ENV", None)  # so does a venv that happens to be active
    options = _parse(arguments)
    cache = store.cache_home()
    console = Console()
    commands = Commands(cache / "logs" / str(os.getpid()))
    place = Place(ROOT, cache, console, commands)
    # SIGINT too: a parent that ignores it, as a CI runner may, would make us deaf to it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: commands.cancel())
    if options.retry:
        place.stamps.forget()
    try:
        _make_ready(options.components, place)
    except BootstrapError as error:
        console.log(str(error))
        return EXIT_FAILED
    except CanceledError:
        console.log("interrupted; nothing half-made is left, run it again to go on")
        return EXIT_INTERRUPTED
    return 0


def _make_ready(names: Sequence[str], place: Place) -> None:
    """Run the components side by side; the first failure ends them all."""
    known = components(place.root)
    with place.console.alive(), ThreadPoolExecutor(len(known)) as pool:
        futures = [pool.submit(known[name][1], place) for name in dict.fromkeys(names)]
        # By ticks, because a signal may reach another thread, and its handler runs in this one.
        while wait(futures, TICK_SECONDS).not_done:
            failed = any(future.done() and future.exception() for future in futures)
            if failed and not place.commands.canceled.is_set():
                place.commands.cancel()
    errors = [error for future in futures if (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, CanceledError)):
        raise error
    link_into_venv(place)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    known = components(ROOT)
    default = [name for name in known if name not in NOT_BY_DEFAULT]
    width = max(map(len, known))
    listing = "\n".join(f"  {name:{width}}  {text}" for name, (text, _) in known.items())
    parser = argparse.ArgumentParser(
        prog="tools/bootstrap",
        description="Makes this clone ready to work.",
        epilog=f"components:\n{listing}\n\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "components",
        nargs="*",
        metavar="COMPONENT",
        help=f"what to make ready; without any: {' '.join(default)}",
    )
    parser.add_argument(
        "--retry",
        action="store_true",
        help="forget what this clone has chosen, and look for everything again",
    )
    options = parser.parse_args(arguments)
    options.components = options.components or default
    if unknown := set(options.components) - set(known):
        parser.error(f"no such component: {', '.join(sorted(unknown))}; see --help")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
