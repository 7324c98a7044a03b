"""Audit what the image carries: `make audit`.

Exit code 0: all checks were made and nothing was found. 1: something was found. 3: nothing was
found, but an advisory service or the package index could not be asked.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from scripts.audit import image, lock, services
from scripts.audit.findings import Audit, Check
from scripts.bootstrap import store
from scripts.bootstrap.commands import Commands
from scripts.bootstrap.console import Console
from scripts.image import __main__ as images
from scripts.image.engines import ROOT

LOCK: Final = ROOT / "requirements" / "runtime.txt"
BILL: Final = ROOT / "build" / "audit" / "bom.json"
IMAGE: Final = "localhost/coinslot:audit"
EXIT_INTERRUPTED: Final = 130
BILL_TIMEOUT_S: Final = 60.0


def main(arguments: Sequence[str]) -> int:
    """Make every check that can be made; return the exit code."""
    options = _parse(arguments)
    console = Console(name="audit")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, images.interrupt)
    try:
        with console.alive():
            audit = _audit(options, console)
    except images.FAILURES as error:
        console.say(f"the image could not be looked at: {error}")
        return 1
    except KeyboardInterrupt:
        console.say("interrupted")
        return EXIT_INTERRUPTED
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(audit.checks), indent=2).decode())
    else:
        print("\n".join(audit.lines()))
    return audit.exit_code


def _audit(options: argparse.Namespace, console: Console) -> Audit:
    text = options.lock.read_text()
    packages = len(lock.read(text)[0])
    audit = Audit([lock.check_pins(text), lock.check_licences(text, lock.installed_licence)])
    if not options.offline:
        with console.step("asking the package index and the advisory services", "30 s"):
            audit.checks.append(services.check_withdrawn(options.lock, packages))
            audit.checks.append(services.check_advisories(options.lock, packages))
    _write_bill(options.lock, console)
    if not options.no_image:
        audit.checks.append(_look_at_image(options.image, console))
    return audit


def _look_at_image(tag: str, console: Console) -> Check:
    cache = store.cache_home()
    commands = Commands(cache / "logs" / str(os.getpid()))
    engine = images.choose(cache, commands)
    if tag == IMAGE:
        images.build(engine, tag, commands, console)
    with (
        console.step(f"looking through {tag}", "10 s"),
        tempfile.TemporaryDirectory(prefix="coinslot-audit-") as scratch,
        engine.container(tag) as container,
    ):
        return image.check(container, Path(scratch))


def _write_bill(locked: Path, console: Console) -> None:
    """Write a CycloneDX bill of materials of the lock, the same for the same lock."""
    BILL.parent.mkdir(parents=True, exist_ok=True)
    form = ("--output-format", "JSON", "--output-reproducible", "--no-validate")
    command = (sys.executable, "-m", "cyclonedx_py", "requirements", str(locked), *form)
    subprocess.run((*command, "-o", str(BILL)), check=True, timeout=BILL_TIMEOUT_S)
    console.say(f"bill of materials (CycloneDX): {BILL.relative_to(ROOT)}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.audit", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--lock", type=Path, default=LOCK, help="the locked requirements")
    parser.add_argument("--image", default=IMAGE, help="an image that is there; default: build it")
    parser.add_argument("--no-image", action="store_true", help="look at no image")
    parser.add_argument("--offline", action="store_true", help="ask nobody outside")
    parser.add_argument("--json", action="store_true", help="the checks as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
