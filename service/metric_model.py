"""What a metric is: a family of series, whose labels are declared with the values they take."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Open:
    """The values of a label that only a running process knows: `what` they are."""

    what: str


Values = Open | tuple[str, ...]
_UNKNOWN: Final = Open("a label that the scrape adds")


@dataclass(frozen=True, slots=True)
class Metric:
    """One time series family, under its exposed name (a counter's ends in `_total`).

    `labels` are in a fixed order, with their values. `pairs` are the values of the first two that
    occur together; without any, all do.
    """

    name: str
    help: str
    labels: Mapping[str, Values] = field(default_factory=dict, hash=False)
    kind: Kind = field(kw_only=True)
    buckets: tuple[float, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    def series(self) -> tuple[str, ...]:
        """Return the sample names that Prometheus stores for this family."""
        if self.kind == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)

    def values(self, label: str) -> tuple[str, ...]:
        """Return the values that a label can take; none means that they are not known."""
        values = self.labels.get(label, _UNKNOWN)
        return () if isinstance(values, Open) else values

    def problem(self, labels: Mapping[str, object]) -> str:
        """Return why there is no series with these labels; "" if there is one."""
        if labels.keys() != self.labels.keys():
            return f"{self.name} has the labels {tuple(self.labels)}, not {tuple(labels)}"
        for label, value in labels.items():
            allowed = self.values(label)
            if not isinstance(value, str) or (allowed and value not in allowed):
                return f"{self.name}: {label}={value!r} is not one of {allowed or 'str'}"
        pair = tuple(labels[label] for label in self.labels)[:2]
        return f"{self.name}: {pair} never occurs" if self.pairs and pair not in self.pairs else ""

    def zeros(self, present: Mapping[str, Collection[str]]) -> Iterator[dict[str, str]]:
        """Yield the labels of every series that a counter can have; none if a label is open.

        `present` narrows labels down to the values that this process meets.
        """
        if self.kind != "counter" or any(isinstance(v, Open) for v in self.labels.values()):
            return
        choices = (present.get(label, self.values(label)) for label in self.labels)
        for values in product(*choices):
            labels = dict(zip(self.labels, values, strict=True))
            if not self.problem(labels):
                yield labels


counter: Final = partial(Metric, kind="counter")
gauge: Final = partial(Metric, kind="gauge")
histogram: Final = partial(Metric, kind="histogram")
