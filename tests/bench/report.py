"""The figures as tables in Markdown."""

from __future__ import annotations

from typing import Any

from tests.bench.cases import Case
from tests.bench.variants import ALONE, BARE

Rows = dict[str, dict[str, Any]]

_COST = (
    ("Envoy µs", "envoy_us", ".0f"), ("worker µs", "worker_us", ".0f"), ("provider µs", "provider_us", ".0f"),
    ("Envoy MiB", "envoy_mib", ".0f"), ("worker MiB", "worker_mib", ".0f"),
)  # fmt: skip
_LATENCY = (("p50 ms", "latency_p50_ms", ".2f"), ("added p50", "added_latency", "+.2f"))
_WHOLE = (*_LATENCY, ("p99 ms", "latency_p99_ms", ".2f"))
_FIRST = (("first event p50 ms", "first_p50_ms", ".2f"), ("p99", "first_p99_ms", ".2f"))
_LATE = (
    ("event late p50 ms", "late_p50_ms", ".2f"), ("added p50", "added_late", "+.2f"), ("p99", "late_p99_ms", ".2f"),
)  # fmt: skip


def table(case: Case, rows: Rows) -> str:
    """One case: what it is, and a row for each variant."""
    if case.pace:
        unit, columns = "event", (*_FIRST, *_LATE)
    elif case.events:
        unit, columns = "event", (*_FIRST, *_WHOLE)
    else:
        unit, columns = "request", _WHOLE
    compared(rows)
    columns = (*columns, *_COST)
    titles = ["variant", f"{unit}s/s", "of bare", *(title for title, _, _ in columns), "load", "answers", "errors"]
    lines = [f"### {case.title} (`{case.name}`)", "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, row in rows.items():
        cells = [name, _cell(row["per_second"], ",.0f"), _cell(row.get("of_bare"), ".0%")]
        cells += [_cell(row.get(key), form) for _, key, form in columns]
        problems = ", ".join(f"{count} × {what}" for what, count in row["errors"].items()) or "0"
        lines.append(f"| {' | '.join([*cells, _cell(row['load_cpu'], '.0%'), str(row['exchanges']), problems])} |")
    return "\n".join([*lines, ""])


def compared(rows: Rows) -> None:
    """Add to each row how it compares with bare Envoy."""
    base = rows.get(BARE)
    for name, row in rows.items():
        if base is None or name == ALONE:
            continue
        row["of_bare"] = row["per_second"] / base["per_second"] if base["per_second"] else None
        for key, source in (("added_latency", "latency_p50_ms"), ("added_late", "late_p50_ms")):
            both = row[source] is not None and base[source] is not None
            row[key] = row[source] - base[source] if both and name != BARE else None


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


LEGEND = """\
Medians of the rounds; the variants take turns within each round. CPU is per request, or per event of a stream; memory is
the greatest seen, with what earlier cases left behind. "load" is the share of one core that the load generator used: near
100 % it is the bottleneck itself. "event late" is how long after the fake provider sent an event the client had it; "first
event" counts from the request. Everything shares this machine's cores, so only ratios and CPU say something about others.
"""
