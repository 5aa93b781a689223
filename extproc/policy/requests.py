"""Judging a request as a whole: the request rules of all policies, and the only place that combines what they say.

Each rule sees the body as the rules before it left it. A refusal beats an answer, an answer beats edits. Policies that
only watch are counted and change nothing, not even what the next one sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from extproc.errors import LimitExceeded, Refused
from extproc.framing.jsonedit import Edits, edit, edited
from extproc.policy.api import OnError, Outcome, Phase, Policy, Scope, Tally
from extproc.policy.request import Request, Verdict
from extproc.policy.rules import Rule

FAILED: Final = "failed"
"""The label of a rule that raised."""


@dataclass(slots=True, kw_only=True)
class Conclusion:
    """What becomes of a request.

    ``policy`` refused it for this ``why`` (``param`` names the field at fault) or answered it with ``reply``, else it is
    the first that changed something. ``answer`` are policies for the answer of this exchange only; they go beside the
    configured ones. ``failed``: the policy refused nothing, it failed and must not.
    ``headers`` are to be set towards the provider.
    """

    outcome: Outcome = Outcome.ALLOW
    policy: Policy | None = None
    why: str = ""
    param: str = ""
    reply: str = ""
    answer: tuple[Policy, ...] = ()
    failed: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def stops(self) -> bool:
        """Whether the request does not go on."""
        return self.outcome in (Outcome.BLOCK, Outcome.REPLY)


@dataclass(slots=True)
class RequestDecision(Conclusion):
    """What the request rules came to."""

    body: dict[str, Any]
    model: str
    edits: list[Edits] = field(default_factory=list)

    def apply(self, raw: bytes) -> bytes:
        """The body's text with all edits made; ``raw`` is what ``body`` was parsed from before."""
        for each in self.edits:
            raw = edit(raw, each)
        return raw


def judge(policies: Iterable[Policy], request: Request, tally: Tally) -> RequestDecision:
    """Run the request rules of these policies, in order.

    Raises:
        Refused: a policy that must not fail cannot read it.
        LimitExceeded: the request has more than can be judged in time; it must not go on, whatever ``on_error`` says.
    """
    decision = RequestDecision(request.body, request.model)
    original = request
    for policy in policies:
        if policy.request is not None:
            request = _run(policy, request, decision, tally)
    if decision.stops:
        decision.body, decision.model, decision.edits, decision.answer = original.body, original.model, [], ()
        decision.headers = {}
    return decision


def _run(policy: Policy, request: Request, decision: RequestDecision, tally: Tally) -> Request:
    request.override = policy.override
    try:
        verdict = policy.request.judge(request) if policy.request else None
        if verdict is None:
            return request
        changed = request
        if policy.enforced and (verdict.edits or verdict.model):
            changed = request.changed(edited(request.body, verdict.edits), verdict.model or request.model)
    except LimitExceeded:
        raise
    except Refused:  # what makes it unreadable to a policy is the client's doing, and nothing to be tried again
        if policy.enforced and policy.on_error is OnError.BLOCK:
            raise
        return _failed(policy, request, decision, tally)
    except Exception:  # a rule that fails must not pass for "nothing to say"
        return _failed(policy, request, decision, tally)
    outcome = _outcome(verdict)
    tally.add(policy, verdict.label, outcome=outcome)
    if verdict.rules:
        decision.answer += (_for_answer(policy, verdict.rules),)
    if not policy.enforced:
        _raise(decision, Outcome.AUDIT, None)
        return request
    if _raise(decision, outcome, policy):
        decision.why, decision.param, decision.reply = verdict.why, verdict.param, verdict.reply
    if verdict.edits:
        decision.edits.append(verdict.edits)
    decision.headers |= verdict.headers
    decision.body, decision.model = changed.body, changed.model
    return changed


def _failed(policy: Policy, request: Request, decision: RequestDecision, tally: Tally) -> Request:
    blocks = policy.enforced and policy.on_error is OnError.BLOCK
    outcome = Outcome.BLOCK if blocks else Outcome.AUDIT
    tally.add(policy, FAILED, outcome=outcome)
    if _raise(decision, outcome, policy if blocks else None) and blocks:
        decision.why, decision.param, decision.reply = "The request could not be judged.", "", ""
        decision.failed = True
    return request


def _outcome(verdict: Verdict) -> Outcome:
    if verdict.reply:
        return Outcome.REPLY
    return Outcome.BLOCK if verdict.refuses else Outcome.REDACT


_ORDER: Final = list(Outcome)


def _raise(decision: RequestDecision, outcome: Outcome, policy: Policy | None) -> bool:
    """Take a stronger outcome over; says whether it was one."""
    stronger = _ORDER.index(outcome) > _ORDER.index(decision.outcome)
    if stronger:
        decision.outcome, decision.policy = outcome, policy
    return stronger


def _for_answer(policy: Policy, rules: tuple[Rule, ...]) -> Policy:
    return replace(
        policy,
        action=policy.does,
        answer=None,
        phases=frozenset({Phase.RESPONSE}),
        scopes=frozenset(Scope),
        rules=rules,
        request=None,
    )
