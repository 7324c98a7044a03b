"""The profile's phases, as locust asks for them."""

import time

from locust import LoadTestShape

from loadtest.profile import Profile, users_at

FINISH_TIMEOUT_S = 20.0
"""The slowest request that a user may still wait for at the end."""

LAST_REPORT_S = 4.0
"""Workers report each 3 s: what they measured last must arrive before they are told to quit."""


class PhasesShape(LoadTestShape):  # type: ignore[misc]  # locust is not typed strictly
    """Follows `profile`, which the locustfile takes from the plan before the run starts.

    At the end it sends the users home, and lets the run end when they have finished their requests
    and the workers have reported them.
    """

    profile: Profile
    _ended_at: float | None = None
    _idle_since: float | None = None

    def tick(self) -> tuple[int, float] | None:
        """Return (users, users a second) for now, or None at the end."""
        wanted = users_at(self.profile, self.get_run_time())
        return wanted or self._finish(time.monotonic())

    def _finish(self, now: float) -> tuple[int, float] | None:
        self._ended_at = self._ended_at or now
        if self.runner.user_count == 0:
            self._idle_since = self._idle_since or now
        late = now - self._ended_at > FINISH_TIMEOUT_S + LAST_REPORT_S
        if late or (self._idle_since and now - self._idle_since > self._last_report_s):
            return None
        return 0, float(self.profile.peak_users)

    @property
    def _last_report_s(self) -> float:
        return LAST_REPORT_S if hasattr(self.runner, "clients") else 0.0
