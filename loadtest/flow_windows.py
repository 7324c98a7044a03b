"""The flows of a long run by window of time: counted, and then forgotten. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Final

from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.knee import LAG_FLOOR_S, LAG_RATIO, quantile
from loadtest.slopes import Series

WINDOWS: Final = 40
"""Of which 30 are after the warm-up; each has some hundred flows, also in a short run."""

OPEN_WINDOWS: Final = 3
"""Windows whose flows may still end; of an hour's run each has a minute and a half."""


@dataclass
class _Window:
    good_s: list[float] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)


@dataclass
class FlowWindows:
    """What has become of a stage's flows; `add` takes them as they end.

    A window's times are kept until a flow ends that came three windows later, then only their P95.
    """

    stage: Stage
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    _open: dict[int, _Window] = field(default_factory=dict)
    _closed: int = -1
    _p95_s: list[float] = field(default_factory=lambda: [nan] * WINDOWS)
    _lag_p95_s: list[float] = field(default_factory=lambda: [nan] * WINDOWS)

    @property
    def count(self) -> int:
        """Return the flows that have ended."""
        return self.outcomes.total()

    @property
    def good_ratio(self) -> float:
        """Return the fraction that was served; 0 when there were none."""
        return self.outcomes[Outcome.GOOD] / self.count if self.count else 0.0

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Count flows that have ended."""
        for one in arrivals:
            self.outcomes[one.outcome] += 1
            if one.what:
                bad = one.outcome is not Outcome.SHED
                (self.failures if bad else self.refusals)[one.what] += 1
            window = self._window(one.due_at)
            if window is not None:
                window.lags_s.append(one.started_s)
                if one.outcome is Outcome.GOOD:
                    window.good_s.append(one.ended_s)

    def close(self) -> None:
        """Take it that no flow ends any more."""
        while self._closed < WINDOWS - 1:
            self._close_next()

    def p95(self) -> Series:
        """Return the P95 of flows in ms, by the window in which they were due."""
        return Series(self._middles_s(), [value * 1000 for value in self._p95_s])

    def late_windows(self) -> int:
        """Return the windows in which the load generator was the limit, and not the service."""
        return sum(
            lag_s > max(LAG_FLOOR_S, LAG_RATIO * (0.0 if isnan(p95_s) else p95_s))
            for lag_s, p95_s in zip(self._lag_p95_s, self._p95_s, strict=True)
        )

    def lag_p95_s(self) -> float:
        """Return the worst window's P95 of how late flows were started."""
        return max((value for value in self._lag_p95_s if not isnan(value)), default=nan)

    def _window(self, due_at: float) -> _Window | None:
        number = int((due_at - self.stage.starts_at) / (self.stage.seconds / WINDOWS))
        if not self._closed < number < WINDOWS:
            return None  # it ended so late that its window is closed
        while self._closed < number - OPEN_WINDOWS:
            self._close_next()
        return self._open.setdefault(number, _Window())

    def _close_next(self) -> None:
        self._closed += 1
        if window := self._open.pop(self._closed, None):
            self._p95_s[self._closed] = quantile(sorted(window.good_s), 0.95)
            self._lag_p95_s[self._closed] = quantile(sorted(window.lags_s), 0.95)

    def _middles_s(self) -> list[float]:
        width = self.stage.seconds / WINDOWS
        return [(number + 0.5) * width for number in range(WINDOWS)]
