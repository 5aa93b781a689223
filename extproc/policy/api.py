"""The words policies speak: scopes, phases, actions, modes, findings and the combined decision.

A policy is a configured instance of a kind. A text kind compiles to rules (``extproc.policy.rules``); the chain runs
them. Nothing here knows where a text came from beyond its scope.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from extproc.policy.rules import Rule


class Scope(StrEnum):
    """Whose words a text is."""

    SYSTEM = "system"  # system and developer messages, tool definitions, response schemas
    USER = "user"
    ASSISTANT = "assistant"
    REASONING = "reasoning"
    TOOL_INPUT = "tool_input"  # arguments a model gives to a tool
    TOOL_OUTPUT = "tool_output"  # what a tool gave back


class Phase(StrEnum):
    """Which way a text travels: to the provider or back to the client."""

    REQUEST = "request"
    RESPONSE = "response"


class Action(StrEnum):
    """What a policy would do with a match."""

    AUDIT = "audit"
    REDACT = "redact"
    REPLY = "reply"
    BLOCK = "block"


class Mode(StrEnum):
    """Whether a policy does what it would do."""

    ENFORCE = "enforce"
    AUDIT = "audit"


class OnError(StrEnum):
    """What a policy that fails counts as."""

    BLOCK = "block"
    ALLOW = "allow"


class Strictness(StrEnum):
    """How much of a disguise a policy sees through."""

    EXACT = "exact"  # the text as it stands
    FOLDED = "folded"  # look-alikes, compatibility forms and accents as plain letters, nothing invisible
    HARDENED = "hardened"  # folded; escapes, encoded runs and disguised words read as what they say


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy: its rules and when they apply. ``reply`` is the text a ``reply`` action answers with."""

    name: str
    action: Action
    mode: Mode
    phases: frozenset[Phase]
    scopes: frozenset[Scope]
    rules: tuple[Rule, ...]
    on_error: OnError = OnError.BLOCK
    reply: str = ""
    match: Strictness = Strictness.EXACT

    @property
    def enforced(self) -> bool:
        """Whether a match changes the traffic, rather than only being recorded."""
        return self.mode is Mode.ENFORCE and self.action is not Action.AUDIT


class PolicyConfig(Protocol):
    """What every kind's configuration model offers the compiler."""

    kind: str

    def compile(self, name: str) -> Policy:
        """Build the policy; raises ``ConfigError`` where the configuration cannot work."""
        ...


class Outcome(StrEnum):
    """What an exchange's texts came to, in order of precedence (last wins)."""

    ALLOW = "allow"
    AUDIT = "audit"
    REDACT = "redact"
    REPLY = "reply"
    BLOCK = "block"


@dataclass(slots=True)
class Tally:
    """How often each policy matched in one exchange, for logs, headers and metrics. Never holds text."""

    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)  # by policy, label, outcome

    def add(self, policy: Policy, label: str, times: int = 1) -> None:
        """Record ``times`` matches of a policy's rule ``label``."""
        outcome = policy.action.value if policy.enforced else Outcome.AUDIT.value
        key = (policy.name, label, outcome)
        self.counts[key] = self.counts.get(key, 0) + times

    def strongest(self) -> Outcome:
        """The outcome that takes precedence among all matches."""
        if not self.counts:
            return Outcome.ALLOW
        outcomes = {outcome for _, _, outcome in self.counts}
        return next((each for each in reversed(Outcome) if each.value in outcomes), Outcome.ALLOW)

    def rows(self) -> list[dict[str, str | int]]:
        """One row for each policy, label and outcome: ``{"policy", "label", "outcome", "count"}``."""
        return [
            {"policy": policy, "label": label, "outcome": outcome, "count": count}
            for (policy, label, outcome), count in sorted(self.counts.items())
        ]


@dataclass(slots=True)
class Decision:
    """The chain's combined answer for a set of whole texts.

    ``texts`` holds the replacement for each text that changed, by its index; ``policy`` the one that blocked
    or replied, else the first that redacted.
    """

    outcome: Outcome = Outcome.ALLOW
    policy: Policy | None = None
    texts: dict[int, str] = field(default_factory=dict)
