"""The profile's phases, as locust asks for them."""

from locust import LoadTestShape

from loadtest.profile import Profile, users_at


class PhasesShape(LoadTestShape):  # type: ignore[misc]  # locust is not typed strictly
    """Follows `profile`, which the locustfile takes from the plan before the run starts."""

    profile: Profile

    def tick(self) -> tuple[int, float] | None:
        """Return (users, users a second) for now, or None at the end."""
        return users_at(self.profile, self.get_run_time())
