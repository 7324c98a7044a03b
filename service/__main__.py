"""One image, three roles: `python -m service api | worker | migrate`, and `admin` for operators."""

import argparse
import os
import sys
from typing import Final

from service import logs
from service.settings import Settings, SettingsError, load
from service.store.migrate import MigrationError, apply

EXIT_CONFIG: Final = 2
"""A start with the same settings will fail again."""

EXIT_FAILED: Final = 1


def main(arguments: list[str] | None = None) -> int:
    """Run a role until it is told to stop; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["admin"]:
        from service.admin import cli  # noqa: PLC0415  no role pays for what only it needs

        return cli.main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="The payment service. Its settings are environment variables.",
        epilog="python -m service admin --help: look at payments and decide on them.",
    )
    parser.add_argument("role", choices=("api", "worker", "migrate"))
    role = parser.parse_args(arguments).role
    try:
        settings = load(os.environ, role)
    except SettingsError as error:
        print(f"service {role}: {error}", file=sys.stderr)  # noqa: T201  there is no log yet
        return EXIT_CONFIG
    logs.configure(settings)
    return _migrate(settings) if role == "migrate" else _serve(settings, role)


def _migrate(settings: Settings) -> int:
    log = logs.get_logger(__name__)
    try:
        url = settings.migration_database_url or settings.database_url
        applied = apply(url.reveal())
    except MigrationError as error:
        log.error("migration_failed", error=str(error))  # noqa: TRY400  the message says it all
        return EXIT_FAILED
    log.info("migrated", applied=list(applied))
    return 0


def _serve(settings: Settings, role: str) -> int:
    # The role `migrate` starts faster without it.
    from service.serve import PortInUseError, serve  # noqa: PLC0415

    try:
        serve(settings, "api" if role == "api" else "worker")
    except PortInUseError as error:
        logs.get_logger(__name__).error("port_in_use", error=str(error))
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
