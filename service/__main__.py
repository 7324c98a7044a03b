"""One image, three roles: `python -m service api | worker | migrate`, and `admin` for operators."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service import logs
from service.settings import Settings, SettingsError, load
from service.store.migrate import MigrationError, Patience, Waiting, apply

EXIT_CONFIG: Final = 2
"""A start with the same settings will fail again."""

EXIT_FAILED: Final = 1
SIGNAL_POLL_S: Final = 0.1  # how much longer than its work a migration may take to end


def main(arguments: list[str] | None = None) -> int:
    """Run a role until it is told to stop; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["admin"]:
        from service.admin import cli  # noqa: PLC0415  no role pays for what only it needs

        return cli.main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="The payment service. Its settings are environment variables.",
        epilog="python -m service admin --help: the operators' commands.",
    )
    parser.add_argument("role", choices=("api", "worker", "migrate"))
    role = parser.parse_args(arguments).role
    try:
        settings = load(os.environ, role)
    except SettingsError as error:
        print(f"service {role}: {error}", file=sys.stderr)  # noqa: T201  there is no log yet
        return EXIT_CONFIG
    logs.configure(settings.log_level)
    return _migrate(settings) if role == "migrate" else _serve(settings, role)


def _migrate(settings: Settings) -> int:
    log = logs.get_logger(__name__)

    def log_wait(waiting: Waiting) -> None:
        log.warning(
            "migration_waits",
            migration=waiting.migration,
            waited_s=round(waiting.waited_s, 1),
            blocked_by=[str(blocker) for blocker in waiting.blocked_by],
        )

    patience = Patience(settings.migration_lock_timeout_s, settings.migration_wait_s)
    url = settings.migration_database_url or settings.database_url
    try:
        with _stop_at_signals() as stop:
            applied = apply(url.reveal(), patience=patience, report=log_wait, stop=stop)
    except MigrationError as error:
        log.error("migration_failed", error=str(error))  # noqa: TRY400  the message is enough
        return EXIT_FAILED
    log.info("migrated", applied=list(applied))
    return 0


@contextmanager
def _stop_at_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set.

    A thread waits for them: while libpq waits for the server, a handler in this one would not run,
    and as a container's first process we would not even be ended.
    """
    stop, over, signals = threading.Event(), threading.Event(), {signal.SIGTERM, signal.SIGINT}

    def wait() -> None:
        while not over.is_set():
            if signal.sigtimedwait(signals, SIGNAL_POLL_S):
                stop.set()

    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    waiter = threading.Thread(target=wait, name="signals", daemon=True)
    waiter.start()
    try:
        yield stop
    finally:
        over.set()
        waiter.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
