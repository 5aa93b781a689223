"""The policies as a library: the same configuration, the same verdicts, without a gateway.

    guard = Guard.load("extproc.yaml")
    checked = guard.check("write to john@example.org")
    checked.outcome, checked.text      # 'redact', 'write to [email]'

Policies that ask a service (kind ``moderation``) or run code of yours are not asked here; ``Checked.unasked`` names them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from extproc.config.load import load
from extproc.errors import ConfigError, Problem, Refused
from extproc.exchange import inbound
from extproc.formats.openai_chat import OpenAIChat
from extproc.framing.jsontext import Path as JsonPath
from extproc.policy.api import Outcome, Phase, Scope, Tally
from extproc.policy.attach import Armed, Attached, Traits
from extproc.policy.chain import Finding, Track
from extproc.policy.compile import compile_policies
from extproc.policy.override import Headers
from extproc.policy.scanner import apply


@dataclass(frozen=True, slots=True)
class Place:
    """A finding and the text it is in: its path in a request's body (empty for a text alone) and whose words it is."""

    path: JsonPath
    scope: Scope
    finding: Finding


@dataclass(frozen=True, slots=True)
class Checked:
    """What the policies say.

    ``outcome`` is allow, audit, redact, reply or block; ``text`` what would go on (None: nothing does); ``policy`` the one
    that blocked or replied, with ``why`` and ``reply``; ``rows`` counts by policy, label and outcome.
    """

    outcome: str
    text: str | None
    policy: str = ""
    why: str = ""
    reply: str = ""
    armed: str = ""
    rows: list[dict[str, str | int]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    unscanned: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    @property
    def blocked(self) -> bool:
        """Whether nothing goes on."""
        return self.outcome in (Outcome.BLOCK.value, Outcome.REPLY.value)


class Guard:
    """A configuration's policies. Immutable; may be shared by threads."""

    def __init__(self, attached: Attached, overrides: Headers) -> None:
        self._attached = attached
        self._overrides = overrides
        self._format = OpenAIChat()

    @classmethod
    def load(
        cls, path: str | Path | None = None, packs: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Self:
        """Read a configuration file. It needs no providers; without a file the set ``recommended`` applies.

        Raises:
            ConfigError: it cannot work; with every problem found.
        """
        problems: list[Problem] = []
        loaded = load(Path(path) if path else None, os.environ if environment is None else environment)
        attached, overrides = compile_policies(loaded, packs, problems)
        if problems:
            raise ConfigError(problems)
        return cls(attached, overrides)

    def armed(self, traits: Traits | None = None) -> Armed:
        """The policies of a request that is like this.

        Raises:
            Refused: its headers ask for what is not allowed.
        """
        traits = traits or Traits()
        armed = self._attached.choose(traits)
        wish = self._overrides.wish(traits, armed.policies)
        return self._attached.choose(traits, wish) if wish else armed

    def check(
        self, text: str, *, scope: Scope = Scope.USER, phase: Phase = Phase.REQUEST, traits: Traits | None = None
    ) -> Checked:
        """Decide about one text."""
        armed, tally = self.armed(traits), Tally()
        decision = armed.chain.inspect(phase, [(scope, text, False)], tally)
        stopped = decision.outcome in (Outcome.BLOCK, Outcome.REPLY)
        return Checked(
            outcome=max(decision.outcome, tally.strongest(), key=list(Outcome).index).value,
            text=None if stopped else decision.texts.get(0, text),
            policy=decision.policy.name if decision.policy and stopped else "",
            reply=decision.policy.reply if decision.policy and decision.outcome is Outcome.REPLY else "",
            armed=armed.header,
            rows=tally.rows(),
            places=[Place((), scope, each) for each in armed.chain.findings(phase, scope, text)],
            unasked=[
                each.name for each in armed.policies if each.moderation or (each.response and phase is Phase.RESPONSE)
            ],
        )

    def check_request(self, body: bytes, traits: Traits | None = None) -> Checked:
        """Decide about a chat request's body, as the gateway would.

        Raises:
            Refused: it cannot be read, or its headers ask for what is not allowed.
        """
        read = inbound.read({}, body, 1 << 30, self._format)
        raw, value = read.raw, read.value
        traits = traits or Traits()
        traits.operation = traits.operation or "chat"
        traits.model = traits.model or self._format.model(value) or ""
        armed, tally = self.armed(traits), Tally()
        decided = inbound.decide(self._format, armed, traits, raw, value, tally)
        stopped = decided.outcome in (Outcome.BLOCK, Outcome.REPLY)
        places = [
            Place(span.path, span.scope, each)
            for span in self._format.request_spans(value)
            for each in armed.chain.findings(Phase.REQUEST, span.scope, span.text, json=span.json)
        ]
        return Checked(
            outcome=max(decided.outcome, tally.strongest(), key=list(Outcome).index).value,
            text=None if stopped else decided.sent.decode(),
            policy=decided.policy.name if decided.policy and stopped else "",
            why=decided.why,
            reply=decided.reply,
            armed=armed.header,
            rows=tally.rows(),
            places=places,
            unscanned=decided.unscanned,
            unasked=[each.name for each in armed.moderated],
        )

    def stream(self, *, scope: Scope = Scope.ASSISTANT, traits: Traits | None = None) -> TextStream:
        """An answer's text that arrives in pieces."""
        tally = Tally()
        return TextStream(self.armed(traits).chain.open(Phase.RESPONSE, scope, tally), tally)


class TextStream:
    """A text under way. ``feed`` pieces, then ``close``; what they return is the guarded text, in order.

    ``blocked`` names the policy that ended it: nothing follows then.
    """

    def __init__(self, track: Track | None, tally: Tally) -> None:
        self._track = track
        self._tally = tally
        self._waiting = ""
        self.blocked = ""

    @property
    def rows(self) -> list[dict[str, str | int]]:
        """What was found so far."""
        return self._tally.rows()

    def feed(self, text: str) -> str:
        """The next piece; returns what is decided."""
        return self._run(text, close=False)

    def close(self) -> str:
        """The end; returns what was held back."""
        return self._run("", close=True)

    def _run(self, text: str, *, close: bool) -> str:
        if self._track is None:
            return text
        if self.blocked:
            return ""
        self._waiting += text
        ops = self._track.close() if close else self._track.feed(text)
        taken = sum(op.length for op in ops)
        out = apply(ops, self._waiting[:taken])
        self._waiting = self._waiting[taken:]
        self.blocked = self._track.blocked.name if self._track.blocked else ""
        return out


__all__ = ["Checked", "Guard", "Outcome", "Phase", "Place", "Refused", "Scope", "TextStream", "Traits"]
