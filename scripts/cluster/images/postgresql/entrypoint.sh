#!/bin/sh
# Starts PostgreSQL with the contract of its publisher's image: POSTGRES_PASSWORD, POSTGRES_USER,
# POSTGRES_DB and PGDATA, and the scripts of /docker-entrypoint-initdb.d, which run once.
#
# A data directory is made beside PGDATA and gets its name when it is complete, so PGDATA is a folder
# inside of a volume and not its mount: a container that is killed in between leaves no half of one.
set -eu

: "${PGDATA:?}"
export POSTGRES_USER="${POSTGRES_USER:-postgres}"
export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"
draft="$PGDATA.new"
scripts=/docker-entrypoint-initdb.d
# Both are the defaults of clients too, which the scripts are.
export PGHOST=/var/run/postgresql PGUSER="$POSTGRES_USER"

# As the first process of a container it would ignore both; the server replaces it, and these traps.
trap 'exit 1' INT TERM

fail() {
    echo "entrypoint: $*" >&2
    exit 1
}

serve() {
    exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories="$PGHOST" \
        -c timezone=UTC -c log_timezone=UTC "$@"
}

make_database() {
    initdb --pgdata="$draft" --username="$POSTGRES_USER" --pwfile="$1" --encoding=UTF8 \
        --locale=C.UTF-8 --auth-host=scram-sha-256 --auth-local=trust
    echo "host all all all scram-sha-256" >> "$draft/pg_hba.conf"
    # No address: nobody outside sees a database that is half made.
    pg_ctl --pgdata="$draft" --wait --silent \
        --options="-c listen_addresses='' -c unix_socket_directories=$PGHOST" start
    if [ "$POSTGRES_DB" != postgres ]; then
        createdb --maintenance-db=postgres -- "$POSTGRES_DB"
    fi
    run_scripts
    pg_ctl --pgdata="$draft" --wait --silent --mode=fast stop
}

run_scripts() {
    export PGDATABASE="$POSTGRES_DB"
    for script in "$scripts"/*; do
        case "$script" in
            *.sh) echo "entrypoint: $script"; bash -e "$script" ;;
            *.sql) echo "entrypoint: $script"; psql -Xv ON_ERROR_STOP=1 --file="$script" ;;
        esac
    done
    unset PGDATABASE
}

[ "${1:-postgres}" = postgres ] || exec "$@"
[ $# -eq 0 ] || shift
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -n "${POSTGRES_PASSWORD:-}" ] || fail "POSTGRES_PASSWORD is not set: give one to $POSTGRES_USER"
    [ ! -e "$PGDATA" ] || rmdir "$PGDATA" 2>/dev/null \
        || fail "$PGDATA has files or is a mount: PGDATA must be a new folder inside of the volume"
    rm -rf "$draft"
    mkdir -m 700 "$draft" || fail "can't write beside $PGDATA: the volume must let user $(id -u) write"
    password="$(mktemp)"
    printf '%s' "$POSTGRES_PASSWORD" > "$password"
    make_database "$password"
    rm "$password"
    mv "$draft" "$PGDATA"
fi
# A kubelet opens every file of a volume to its fsGroup; the server refuses such a folder.
chmod 700 "$PGDATA"
serve "$@"
