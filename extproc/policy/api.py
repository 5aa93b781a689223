"""The words policies speak: scopes, phases, actions, modes, findings and the combined decision.

A policy is a configured instance of a kind. A text kind compiles to rules (``extproc.policy.rules``); the chain runs
them. Nothing here knows where a text came from beyond its scope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from extproc.policy.python import AnswerHook
    from extproc.policy.request import RequestRule
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


class Style(StrEnum):
    """How a block looks to the client."""

    ERROR = "error"  # an error with a status; in a stream that has begun, an error event
    REFUSAL = "refusal"  # a normal answer in which the model seems to refuse
    TRUNCATE = "truncate"  # the answer ends before the match; a request is refused as with error


class Strictness(StrEnum):
    """How much of a disguise a policy sees through."""

    EXACT = "exact"  # the text as it stands
    FOLDED = "folded"  # look-alikes, compatibility forms and accents as plain letters, nothing invisible
    HARDENED = "hardened"  # folded; escapes, encoded runs and disguised words read as what they say


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy: its rules and when they apply. ``reply`` is the text a ``reply`` action answers with.

    ``request`` is the rule of a policy that judges the request as a whole (see ``extproc.policy.requests``).
    """

    name: str
    action: Action
    mode: Mode
    phases: frozenset[Phase]
    scopes: frozenset[Scope]
    rules: tuple[Rule, ...]
    on_error: OnError = OnError.BLOCK
    reply: str = ""
    request: RequestRule | None = None
    response: AnswerHook | None = None
    """The operator's code that sees answers as a whole, where there is such."""
    override: str = ""
    """What a header has chosen among ``overrides``: values from the mildest to the strictest; one of them always."""
    overrides: tuple[str, ...] = ()
    answer: Action | None = None
    """What its findings in the answer lead to, where that is not ``action``: of kinds that prepare the answer's rules."""
    style: Style = Style.ERROR
    status: int = 400
    message: str = ""
    """What a block says instead of the usual sentence."""
    restore: bool = False
    """Whether the answer shows again what was redacted in the request."""
    moderation: Any = None
    """The service that judges, where one does."""
    actions: frozenset[Action] = frozenset(Action)
    """What it could be told to do."""
    tightens: bool = True
    """Whether a request that has it can do no more than one that has not."""
    match: Strictness = Strictness.EXACT

    @property
    def enforced(self) -> bool:
        """Whether a match changes the traffic, rather than only being recorded."""
        return self.mode is Mode.ENFORCE and self.action is not Action.AUDIT

    def can(self, action: Action | None) -> bool:
        """Whether a header may ask it for this; None: to be switched off."""
        return action is None or action in self.actions

    @property
    def does(self) -> Action:
        """The action that a configuration or a header chooses."""
        return self.answer or self.action

    def acting(self, action: Action, mode: Mode) -> Policy:
        """The same policy with another action."""
        if (action, mode) == (self.does, self.mode):
            return self
        if self.answer:
            return replace(self, answer=action, mode=mode)
        return replace(self, action=action, mode=mode)


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

    def add(self, policy: Policy, label: str, times: int = 1, outcome: Outcome | None = None) -> None:
        """Record ``times`` matches of a policy's rule ``label``; ``outcome``: what came of it, if not the action."""
        done = (outcome or policy.action).value if policy.enforced else Outcome.AUDIT.value
        key = (policy.name, label, done)
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


_RANKS: Final = {outcome: rank for rank, outcome in enumerate(Outcome)}


def stronger(one: Outcome, other: Outcome) -> Outcome:
    """The one that takes precedence."""
    return one if _RANKS[one] >= _RANKS[other] else other


@dataclass(slots=True)
class Decision:
    """The chain's combined answer for a set of whole texts.

    ``texts`` holds the replacement for each text that changed, by its index; ``policy`` the one that blocked
    or replied, else the first that redacted. ``cuts``: what is left of texts that a truncating policy
    ends; then the others stay, redacted where that was decided. ``ops`` says of each text among these how: lengths of what is
    kept (None) or replaced, in order, up to where it was ended.
    """

    outcome: Outcome = Outcome.ALLOW
    policy: Policy | None = None
    texts: dict[int, str] = field(default_factory=dict)
    cuts: dict[int, str] = field(default_factory=dict)
    ops: dict[int, Sequence[tuple[int, str | None]]] = field(default_factory=dict)
