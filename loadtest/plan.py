"""What `python -m loadtest` passes to the load generator: the profile and the tokens."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtest.profile import Profile


@dataclass(frozen=True, slots=True)
class Plan:
    """A run to be made; `tokens` holds a bearer token for each person.

    With `workers` the load generator is so many processes and one that leads them.
    """

    profile: Profile
    tokens: tuple[str, ...]
    workers: int = 1

    def tokens_of(self, worker: int) -> tuple[str, ...]:
        """Return a worker's own people, whom no other worker has."""
        return self.tokens[worker :: self.workers]

    def write(self, path: Path) -> None:
        """Store the plan, readable by nobody else: a token is as good as its owner."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(self))


def read_plan(path: Path) -> Plan:
    """Return the plan that `Plan.write` stored."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)
