#!/bin/sh
# Runs a role of the service and restarts it when a file of service/ changes: scripts/reload.sh api
# It is the entry point of images of the stage `development`.
set -eu
cd "$(dirname "$0")/.."
exec watchfiles --filter python "python3 -m service $*" service
