"""The profile's phases, as locust asks for them."""

import time
from typing import Final

from locust import LoadTestShape

from loadtest.distributed import LastReports
from loadtest.profile import Profile, users_at

END_TIMEOUT_S: Final = 40.0
"""The slowest request that a user may still wait for (20 s), and the workers' last reports, which
come each 3 s."""


class PhasesShape(LoadTestShape):  # type: ignore[misc]  # locust is not typed strictly
    """Follows `profile`, which the locustfile takes from the plan before the run starts.

    At the end it sends the users home, and lets the run end when they have finished their requests
    and the workers have reported them.
    """

    profile: Profile
    last_reports: LastReports
    _ended_at: float | None = None
    _idle = False

    def tick(self) -> tuple[int, float] | None:
        """Return (users, users a second) for now, or None at the end."""
        wanted = users_at(self.profile, self.get_run_time())
        return wanted or self._finish(time.monotonic())

    def _finish(self, now: float) -> tuple[int, float] | None:
        self._ended_at = self._ended_at or now
        if self.runner.user_count == 0 and not self._idle:
            self._idle = True
            self.last_reports.begin()
        complete = self._idle and self.last_reports.complete(self.runner)
        if complete or now - self._ended_at > END_TIMEOUT_S:
            return None
        return 0, float(self.profile.peak_users)
