"""What the gateway says itself: its own headers on every answer, and answers that no provider gave."""

from __future__ import annotations

from typing import Any, Final

from extproc import events
from extproc.errors import Refused
from extproc.policy.api import Policy
from extproc.runtime import Runtime
from extproc.telemetry import Record

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

    ``armed`` names the policies that look at this exchange; ``busy`` is the time in seconds that the exchange has taken
    of the processor so far.
    """

    __slots__ = ("_format", "_record", "_runtime", "armed")

    def __init__(self, runtime: Runtime, record: Record) -> None:
        self._runtime = runtime
        self._format = runtime.format
        self._record = record
        self.armed = runtime.armed

    def headers(self, busy: float) -> events.Pairs:
        """The headers every answer carries."""
        record = self._record
        headers = (
            ("x-llm-request-id", record.request_id),
            ("x-llm-policies", self.armed),
            ("x-llm-generation", str(self._runtime.generation)),
            ("x-llm-overhead-ms", f"{busy * 1000:.2f}"),
        )
        if not record.backend:
            return headers
        return (*headers, ("x-llm-backend", record.backend), ("x-llm-attempts", str(record.attempts)))

    def say(
        self, status: int, body: bytes, code: str, busy: float, *, media: str = _JSON, extra: events.Pairs = ()
    ) -> events.Respond:
        """An answer; ``code`` is what Envoy logs of it."""
        self._record.status = status
        self._record.end = self._record.end or "complete"
        headers = (("content-type", media), *self.headers(busy), *extra)
        return events.Respond(status, headers, body, f"llm_{code}")

    def refuse(self, refused: Refused, busy: float) -> events.Respond:
        """An error."""
        self._record.end = "refused"
        self._record.error = refused.code
        extra = [("x-request-id", self._record.request_id)]
        if refused.status == 503:
            extra.append(("retry-after", "1"))
        if refused.status < 500 and refused.status not in (408, 409, 429):
            extra.append(("x-should-retry", "false"))
        body = self._format.error(refused.status, refused.code, refused.message, refused.kind)
        return self.say(refused.status, body, refused.code, busy, extra=tuple(extra))

    def block(self, policy: Policy, what: str, busy: float) -> events.Respond:
        """A policy's refusal of a ``request`` or an ``answer``; never what matched."""
        subject = "The request was refused" if what == "request" else "The answer was withheld"
        self._record.end = "blocked"
        self._record.error = policy.name
        body = self._format.error(400, policy.name, f"{subject} by the policy '{policy.name}'.", "policy_violation")
        extra = (("x-request-id", self._record.request_id), ("x-should-retry", "false"))
        return self.say(400, body, "blocked", busy, extra=extra)

    def reply(self, policy: Policy, body: dict[str, Any], created: int, busy: float) -> events.Respond:
        """A policy's answer in the model's place, as a stream where the request asked for one."""
        record = self._record
        record.end = "replied"
        if not record.stream:
            said = self._format.reply(policy.reply, body, record.request_id, created)
            return self.say(200, said, "reply", busy)
        said = self._format.reply_stream(policy.reply, body, record.request_id, created)
        return self.say(200, said, "reply", busy, media="text/event-stream; charset=utf-8")


def of_envoy(status: int) -> Refused:
    """What an answer that Envoy gave by itself means to a client."""
    code, message = _LOCAL.get(status, ("gateway_error", "The gateway could not pass this request on."))
    return Refused(status, code, message, "invalid_request_error" if 400 <= status < 500 else "api_error")
