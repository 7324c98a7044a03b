"""The profile's phases, as locust asks for them."""

from locust import LoadTestShape

from loadtest.profile import PROFILES, users_at


class PhasesShape(LoadTestShape):  # type: ignore[misc]  # locust is not typed strictly
    """Follows the profile that the command line names."""

    def tick(self) -> tuple[int, float] | None:
        """Return (users, users a second) for now, or None at the end."""
        options = self.runner.environment.parsed_options
        return users_at(PROFILES[options.profile], self.get_run_time())
