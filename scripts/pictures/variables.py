"""What a dashboard's variables stand at, as when Grafana has just opened it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alerts import parsing
from dashboards.panels import Variable
from scripts.pictures.boards import PictureError
from tests.support.prometheus import Prometheus

USUAL_SCRAPE_S: Final = 15.0
"""What Grafana takes for a data source's interval unless told otherwise, and our stacks scrape."""
SCRAPES_IN_A_RATE: Final = 4  # Grafana's rule: a rate still has two samples if a scrape fails

LABEL_VALUES: Final = re.compile(r"label_values\((?P<series>.+), *(?P<label>\w+)\)")
VARIABLE: Final = re.compile(r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<plain>\w+))")

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is shown: Unix times, and what a scrape takes."""

    start: float
    end: float
    scrape_s: float

    def step_s(self, points: float) -> float:
        """Return the step of a query for so many points: a scrape at least, as in Grafana."""
        return max(float(round((self.end - self.start) / points)), self.scrape_s)

    def values(self, step_s: float) -> dict[str, str]:
        """Return Grafana's own variables for a query of this step.

        A rate is taken over a minute at least, which is what operators see, also where a test
        scrapes each second.
        """
        scrape_s = max(self.scrape_s, USUAL_SCRAPE_S)
        rate_s = max(step_s + scrape_s, SCRAPES_IN_A_RATE * scrape_s)
        return {
            "__interval": f"{step_s:.0f}s",
            "__rate_interval": f"{rate_s:.0f}s",
            "__range": f"{self.end - self.start:.0f}s",
        }


def filled(text: str, values: Values) -> str:
    """Return a text with its variables replaced; raise PictureError for one that is not known."""

    def value(found: re.Match[str]) -> str:
        name = found["braced"] or found["plain"]
        if name not in values:
            raise PictureError(f"${name} is no variable of this dashboard: {text}")
        return values[name]

    return VARIABLE.sub(value, text)


async def chosen(variables: Sequence[Variable], running: Prometheus, span: Span) -> Values:
    """Return what each variable stands at: All, or the first value there is."""
    values: dict[str, str] = {}
    for variable in variables:
        values[variable.name] = (
            variable.everything
            if variable.everything is not None
            else await _first(variable, running, span, values)
        )
    return values


async def _first(variable: Variable, running: Prometheus, span: Span, values: Values) -> str:
    """Return the first value in order; nothing where there is none, as Grafana does."""
    asked = LABEL_VALUES.fullmatch(variable.query)
    if asked is None:
        raise PictureError(f"the query of variable {variable.name} is not known: {variable.query}")
    series, label = filled(asked["series"], values), asked["label"]
    seen = f"group by ({label}) (last_over_time({series}[{span.end - span.start:.0f}s]))"
    answer = await running.query(seen)
    return min((one.labels.get(label, "") for one in answer), default="")


async def scraped_s(running: Prometheus) -> float:
    """Return how often Prometheus scrapes: the longest interval of its targets."""
    found = [
        parsing.duration(str(target["scrapeInterval"])).total_seconds()
        for target in await running.targets()
    ]
    return max(found, default=USUAL_SCRAPE_S)
