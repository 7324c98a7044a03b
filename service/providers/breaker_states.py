"""The states of a circuit breaker, as metrics and alerts name them; they need no library."""

from typing import Final

STATES: Final = ("closed", "open", "half_open")
