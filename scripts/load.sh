#!/usr/bin/env bash
# Runs a load test: scripts/load.sh [--profile smoke|short|full|double] [--url URL] [--ops-url URL]
#   [--workers N] [--out DIR] [--archive DIR] [--json]; scripts/load.sh --help says more.
# Exit codes: 0 passed, 1 failed, 2 the run could not be made. The twin of load.ps1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/bootstrap venv >&2
exec .venv/bin/python -m loadtest "$@"
