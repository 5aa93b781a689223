"""What the gateway says itself: its own headers on every answer, and answers that no provider gave."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from extproc import events
from extproc.errors import Refused
from extproc.formats.base import Format
from extproc.formats.generic import OPAQUE
from extproc.policy.api import Policy, Style, Tally
from extproc.runtime import Runtime
from extproc.telemetry import Record

VERDICTS: Final = "llm.extproc.verdicts"
"""Dynamic metadata: what policies came to."""

_JSON: Final = "application/json"
_LOCAL: Final = {
    408: ("timeout", "The request took too long to arrive."),
    413: ("too_large", "The request is larger than this gateway accepts."),
    429: ("overloaded", "The gateway is overloaded."),
    503: ("unavailable", "No backend for this model can be reached."),
    504: ("upstream_timeout", "The backend for this model did not answer in time."),
}


class Replies:
    """Says things in the client's format, and notes in the exchange's record what was said.

    ``format`` is the client's; ``armed`` names the policies that look at this exchange; ``busy`` is the time in seconds that
    the exchange has taken of the processor so far. ``listed``: the client wants whatever is said in an array (Google's streams
    that are not server-sent events; errors too).

    Args:
        now: Unix time in seconds.
    """

    __slots__ = ("_now", "_record", "_runtime", "_tally", "armed", "busy", "format", "listed")

    def __init__(
        self, runtime: Runtime, record: Record, tally: Tally, format_: Format, now: Callable[[], float] = time.time
    ) -> None:
        self._tally = tally
        self._now = now
        self.busy = 0.0
        self._runtime = runtime
        self.format = format_
        self.listed = False
        self._record = record
        self.armed = runtime.armed

    def headers(self) -> events.Pairs:
        """The headers every answer carries."""
        record = self._record
        headers: events.Pairs = (
            ("x-llm-request-id", record.request_id),
            ("x-llm-policies", self.armed),
            ("x-llm-generation", str(self._runtime.generation)),
            ("x-llm-overhead-ms", f"{self.busy * 1000:.2f}"),
        )
        if record.verdict:
            lacks = NOT_SCANNED if record.format == OPAQUE else NOT_SCANNABLE
            state = (record.verdict, lacks) if record.unscanned else (record.verdict,)
            headers += (("x-llm-verdict", ", ".join(state)),)
        if record.losses:
            headers += (("x-llm-losses", str(len(record.losses))),)
        if not record.backend or record.mode != "gateway":  # what a mesh calls its clusters is nobody's business
            return headers
        return (*headers, ("x-llm-backend", record.backend), ("x-llm-attempts", str(record.attempts)))

    def say(
        self, status: int, body: bytes, code: str, *, media: str = _JSON, extra: events.Pairs = ()
    ) -> events.Respond:
        """An answer; ``code`` is what Envoy logs of it."""
        self._record.status = status
        self._record.end = self._record.end or "complete"
        headers = (("content-type", media), *self.headers(), *extra)
        said = b"[" + body + b"]" if self.listed else body
        return events.Respond(status, headers, said, f"llm_{code}", self.verdicts())

    def verdicts(self) -> Mapping[str, Mapping[str, Any]] | None:
        """What policies came to, as dynamic metadata: for access logs, and for the filters of a mesh."""
        record = self._record
        if not record.verdict:
            return None
        counts: dict[str, int] = {}
        for (policy, _, outcome), count in self._tally.counts.items():
            counts[f"{policy}:{outcome}"] = counts.get(f"{policy}:{outcome}", 0) + count
        found: dict[str, Any] = {"request": record.verdict, "outcome": self._tally.strongest().value}
        if counts:
            found["policies"] = counts
        if record.end == "blocked":
            found["blocked_by"] = record.error
        if record.unscanned:
            found["unscanned"] = ",".join(record.unscanned)
        return {VERDICTS: found}

    def refuse(self, refused: Refused) -> events.Respond:
        """An error."""
        self._record.end = "refused"
        self._record.error = refused.code
        extra = [*self._ids(), *self.format.error_headers(refused.status)]
        if refused.status == 503:
            extra.append(("retry-after", "1"))
        if refused.status < 500 and refused.status not in (408, 409, 429):
            extra.append(("x-should-retry", "false"))
        body = self.format.error(refused.status, refused.code, refused.message, refused.kind)
        return self.say(refused.status, body, refused.code, extra=tuple(extra))

    def block(self, policy: Policy, what: str, why: str = "", param: str = "") -> events.Respond:
        """A policy's refusal of a ``request`` or an ``answer``; ``why`` it says and of which field, never what matched."""
        self._record.end = "blocked"
        self._record.error = policy.name
        message = blocked(policy, what, why)
        if policy.style is Style.REFUSAL and self._talks():
            return self._answer(message, "blocked", refuses=True)
        if policy.style is Style.TRUNCATE and what != "request" and self._talks():
            return self._answer("", "blocked", refuses=True)
        body = self.format.error(policy.status, policy.name, message, "policy_violation", param)
        extra = (*self._ids(), *self.format.error_headers(policy.status), ("x-should-retry", "false"))
        return self.say(policy.status, body, "blocked", extra=extra)

    def _ids(self) -> events.Pairs:
        """The request's id under the name that SDKs of this API look for."""
        name = _ID_NAMES.get(self.format.family, "x-request-id")
        return ((name, self._record.request_id),)

    def reply(self, text: str) -> events.Respond:
        """A policy's answer in the model's place, as a stream where the request asked for one."""
        self._record.end = "replied"
        if not self._talks():  # vectors, pictures, sound: a client would take the words for such
            body = self.format.error(400, "replied", text, "policy_violation")
            return self.say(400, body, "reply", extra=(*self._ids(), *self.format.error_headers(400)))
        return self._answer(text, "reply")

    def _talks(self) -> bool:
        """Whether answers of this operation have a place for words."""
        return self._record.operation in _TALKS

    def whole(self, text: str) -> bytes:
        """The body of an answer that says this in the model's place."""
        return self.format.reply(text, self._record.model, self._record.request_id, int(self._now()))

    def _answer(self, text: str, code: str, *, refuses: bool = False) -> events.Respond:
        record = self._record
        say = self.format.reply_stream if record.stream else self.format.reply
        said = say(text, record.model, record.request_id, int(self._now()), refuses=refuses)
        return self.say(200, said, code, media=self.format.framing.content_type if record.stream else _JSON)


_TALKS: Final = frozenset({"chat", "completions", "edits", "transcriptions", "translations"})
_ID_NAMES: Final = {"anthropic": "request-id", "aws": "x-amzn-requestid"}

NOT_SCANNABLE: Final = "not-scannable"
"""Said of a request that has content which no text rule can read."""
NOT_SCANNED: Final = "not-scanned"
"""Said of one into which nobody has looked, nor into its answer."""

_SUBJECTS: Final = {
    "request": "The request was refused",
    "answer": "The answer was withheld",
    "stream": "The answer was stopped",
}


def blocked(policy: Policy, what: str, why: str = "") -> str:
    """What a block says of a ``request``, an ``answer`` or a ``stream`` that has begun."""
    if policy.message:
        return policy.message
    subject = _SUBJECTS[what]
    return f"{subject} by the policy '{policy.name}'{f': {why}' if why else '.'}"


def of_envoy(status: int) -> Refused:
    """What an answer that Envoy gave by itself means to a client."""
    code, message = _LOCAL.get(status, ("gateway_error", "The gateway could not pass this request on."))
    return Refused(status, code, message, "invalid_request_error" if 400 <= status < 500 else "api_error")
