"""What an audit comes to: what was looked at, what was found, and what could not be asked."""

from dataclasses import dataclass, field
from typing import Final

EXIT_CLEAN: Final = 0
EXIT_FOUND: Final = 1
EXIT_NOT_ASKED: Final = 3
"""Nothing was found, and somebody who might know more did not answer: that is not "clean"."""


@dataclass(frozen=True)
class Check:
    """One check. `looked_at` says what it went through, so that an empty one can't look clean."""

    name: str
    looked_at: str
    found: tuple[str, ...] = ()
    not_asked: str = ""


@dataclass
class Audit:
    """All checks of a run."""

    checks: list[Check] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 1 for a finding, else 3 for a check that could not be made, else 0."""
        if any(check.found for check in self.checks):
            return EXIT_FOUND
        if any(check.not_asked for check in self.checks):
            return EXIT_NOT_ASKED
        return EXIT_CLEAN

    def lines(self) -> list[str]:
        """Return the audit in words."""
        said = []
        for check in self.checks:
            state = "FOUND" if check.found else "NOT ASKED" if check.not_asked else "ok"
            said.append(f"{state:9}  {check.name}: {check.looked_at}")
            said += [f"           - {each}" for each in check.found]
            if check.not_asked:
                said.append(f"           - {check.not_asked}")
        return said
