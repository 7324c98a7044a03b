"""`python -m alerts`: writes the Prometheus rules and their promtool tests."""

import argparse
import sys
from pathlib import Path

from alerts.generate import FOLDER, write


def main() -> int:
    """Write the files and print each path; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m alerts", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: %(default)s)")
    for path in write(parser.parse_args().out):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
