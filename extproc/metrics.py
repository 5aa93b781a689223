"""Counters of one process, and their sum over all workers, living and dead, as Prometheus text.

Labels are bounded by configuration (policy names) or by the code (ends, outcomes): never a model name or a caller's text.
Names: ``extproc_*``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from extproc.sightings import MOST, Sightings
from extproc.telemetry import Record

Key = tuple[str, ...]
"""A metric's name and the values of its labels in the order of ``LABELS``."""

Snapshot = list[tuple[list[str], float]]
"""All values of one process, in a form that JSON can carry."""

LABELS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "extproc_exchanges": (("mode", "operation", "end", "outcome", "status"), "exchanges that are over"),
    "extproc_verdicts": (
        ("mode", "policy", "outcome"),
        "matches of policies; in mode shadow what would have been done",
    ),
    "extproc_tokens": (("kind",), "tokens as providers counted them"),
    "extproc_overhead_seconds": ((), "time spent in the processor"),
    "extproc_latency_seconds": ((), "time exchanges took"),
    "extproc_faults": (
        ("kind",),
        "protocol and internal errors that closed an exchange, policies that gave no answer",
    ),
    "extproc_credentials": (("result",), "attempts to fetch a provider's credential: fetched, failed"),
    "extproc_restarts": (("process",), "processes that ended by themselves and were started again"),
    "extproc_reloads": (("result",), "configurations read again"),
}
"""Counters: labels and help."""

GAUGES: Final[dict[str, str]] = {
    "extproc_open_exchanges": "exchanges under way",
    "extproc_held_bytes": "bytes held back or collected for inspection",
    "extproc_stuck_threads": "threads that policies in Python have not given back",
    "extproc_workers": "workers that are up",
    "extproc_workers_alive": "worker processes that give signs of life, one in reserve included",
    "extproc_generation": "generation of the configuration in force",
}


_OVERHEAD: Final[Key] = ("extproc_overhead_seconds",)
_LATENCY: Final[Key] = ("extproc_latency_seconds",)


class Counters:
    """Counts of one process."""

    __slots__ = ("_attested", "_values")

    def __init__(self) -> None:
        self._values: Counter[Key] = Counter()
        self._attested: list[tuple[str, str]] = []

    def add(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Count ``by`` more of a counter in ``LABELS``."""
        self._values[name, *labels] += by  # type: ignore[assignment]

    def exchange(self, record: Record) -> None:
        """Count an exchange that is over."""
        mode = record.mode
        self.add(
            "extproc_exchanges", mode, record.operation or "none", record.end, record.outcome, _class(record.status)
        )
        self._values[_OVERHEAD] += record.overhead_ms / 1000  # type: ignore[assignment]
        self._values[_LATENCY] += record.latency_ms / 1000  # type: ignore[assignment]
        for row in record.verdicts:
            self.add("extproc_verdicts", mode, str(row["policy"]), str(row["outcome"]), by=float(row["count"]))
        for kind, count in (record.tokens or {}).items():
            self._values["extproc_tokens", kind] += count
        if record.attested and len(self._attested) < MOST:
            self._attested.append((record.attested, record.mode))

    def attested(self) -> list[tuple[str, str]]:
        """The marked requests since the last call: hash and mode."""
        found, self._attested = self._attested, []
        return found

    def snapshot(self) -> Snapshot:
        """All values."""
        return [(list(key), value) for key, value in self._values.items()]


def _class(status: int) -> str:
    return f"{status // 100}xx" if status else "none"


class Totals:
    """The sum over processes. A process that is gone keeps what it last reported."""

    def __init__(self) -> None:
        self._gone: Counter[Key] = Counter()
        self._alive: dict[str, tuple[Snapshot, dict[str, float]]] = {}
        self.own = Counters()
        self.gauges: dict[str, float] = {}
        self.sightings = Sightings()

    def report(self, process: str, snapshot: Snapshot, gauges: dict[str, float]) -> None:
        """Take what a living process says of itself."""
        self._alive[process] = snapshot, gauges

    def retire(self, process: str) -> None:
        """A process is gone: its counts stay, its gauges do not."""
        snapshot, _ = self._alive.pop(process, ([], {}))
        for key, value in snapshot:
            self._gone[tuple(key)] += value  # type: ignore[assignment]

    def text(self) -> bytes:
        """Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        sums = Counter(self._gone)
        for snapshot in (*(each for each, _ in self._alive.values()), self.own.snapshot()):
            for labels_, value in snapshot:
                sums[tuple(labels_)] += value  # type: ignore[assignment]
        for name, (labels, text) in LABELS.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for key, value in sorted(sums.items()):
                if key[0] == name:
                    family.add_metric(list(key[1:]), value)
            yield family
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(name, text, value=self._gauge(name))

    def _gauge(self, name: str) -> float:
        if name == "extproc_workers_alive":
            return len(self._alive)
        reported: Iterable[Any] = (gauges.get(name, 0.0) for _, gauges in self._alive.values())
        return self.gauges[name] if name in self.gauges else sum(reported)
