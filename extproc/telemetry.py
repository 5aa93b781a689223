"""What is said about an exchange when it is over: one line, as JSON or for people. Never content, never a key.

The fields are the product's contract with log pipelines; names follow the field's words (see the README's table).
"""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass, field
from typing import IO, Any, Literal

import orjson


@dataclass(slots=True)
class Record:
    """One exchange. Times in milliseconds; ``overhead_ms`` is time spent in the processor itself.

    ``end`` is ``complete``, ``blocked``, ``replied``, ``refused`` (an error of ours before any answer), ``error`` (the
    answer could not be inspected) or ``cut`` (client, provider or Envoy broke off). ``verdict`` is what the request came
    to, ``outcome`` what request and answer came to; ``unscanned`` names content that no text rule can read. ``format`` is
    the client's API, ``upstream_format`` the provider's, ``losses`` what could not be said in it (where: why). ``mode`` is
    ``gateway``, ``guard`` (others route; ``backend`` is then their cluster), or ``shadow``: what a guard would have done.
    ``attested``: by which hash a marked request is remembered.
    """

    generation: int
    mode: str = "gateway"
    request_id: str = ""
    operation: str = ""
    format: str = ""
    upstream_format: str = ""
    model: str = ""
    group: str = ""
    backend: str = ""
    attempts: int = 0
    stream: bool = False
    status: int = 0
    upstream_status: int = 0
    verdict: str = ""
    unscanned: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    outcome: str = "allow"
    end: str = ""
    error: str = ""
    verdicts: list[dict[str, str | int]] = field(default_factory=list)
    tokens: dict[str, int] | None = None
    latency_ms: float = 0.0
    first_byte_ms: float = 0.0
    overhead_ms: float = 0.0
    attested: str = ""


class Log:
    """Writes records and notices, one line each.

    Args:
        style: ``json``, ``text``, or ``auto`` (text on a terminal).
        out: where to; standard output by default.

    ``quiet`` drops everything, for as long as it is set.
    """

    def __init__(self, style: Literal["auto", "json", "text"] = "auto", out: IO[str] | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self.quiet = False
        self.style = style
        self._json = style == "json" or (style == "auto" and not self._out.isatty())

    def exchange(self, record: Record) -> None:
        """One line for an exchange that is over."""
        if not self.quiet:
            self._line(_json("exchange", record) if self._json else _readable(record))

    def notice(self, event: str, message: str, **details: str | int | float) -> None:
        """One line about the service itself."""
        if not self.quiet:
            text = " ".join([message, *(f"{name}={value}" for name, value in details.items())])
            self._line(_json(event, {"message": message, **details}) if self._json else text)

    def _line(self, text: str) -> None:
        self._out.write(f"{text}\n" if self._json else f"{datetime.datetime.now():%H:%M:%S} {text}\n")
        self._out.flush()


def _json(event: str, values: dict[str, Any] | Record) -> str:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    head = orjson.dumps({"time": now, "event": event})
    return (head[:-1] + b"," + orjson.dumps(values)[1:]).decode()


def _readable(record: Record) -> str:
    found = ", ".join(f"{row['policy']}:{row['label']}×{row['count']} {row['outcome']}" for row in record.verdicts)  # noqa: RUF001
    tokens = f"{record.tokens['input']}+{record.tokens['output']} tokens" if record.tokens else ""
    parts = [
        f"{record.mode}:" if record.mode == "shadow" else "",
        f"{record.status or '-'}",
        record.operation or "-",
        record.model,
        f"→ {record.backend}" if record.backend else "",
        f"({record.attempts} attempts)" if record.attempts > 1 else "",
        f"{record.latency_ms:.0f} ms",
        tokens,
        found,
        record.end if record.end != "complete" else "",
        record.error,
        record.request_id,
    ]
    text = " ".join(part for part in parts if part)
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
