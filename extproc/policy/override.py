"""What a request's headers may change about its policies (D14): tighten always, loosen only where the operator said so.

``x-llm-policy: NAME, …`` adds policies or sets; ``x-llm-policy-NAME: audit | redact | block | off`` says what one of them
is to do, and policies in Python may know further words. A header that cannot be obeyed is an error: a client that believes
itself guarded must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.config.attach import Overrides
from extproc.errors import Refused
from extproc.policy import usagepanda
from extproc.policy.api import Action, Policy
from extproc.policy.attach import NOTHING, Predicate, Traits, Wish
from extproc.policy.kinds.base import Context

NAME: Final = "x-llm-policy"
_PREFIX: Final = f"{NAME}-"
_STRENGTH: Final = {None: 0, Action.AUDIT: 1, Action.REDACT: 2, Action.REPLY: 3, Action.BLOCK: 4}
_ACTIONS: Final = {"off": None, "audit": Action.AUDIT, "redact": Action.REDACT, "block": Action.BLOCK}
_MOST: Final = 16
"""Such headers of one request, and names in one of them."""


@dataclass(frozen=True, slots=True)
class Loose:
    """Policies that some requests may weaken."""

    names: frozenset[str]
    applies: Predicate


class Headers:
    """Reads a request's headers.

    Args:
        policies: that there are, by name.
        sets: names of the policies in each set.
        context: what ad-hoc policies are compiled with.
        overrides: what is allowed.
        loose: who may loosen what.
    """

    def __init__(
        self,
        policies: Mapping[str, Policy],
        sets: Mapping[str, frozenset[str]],
        context: Context,
        overrides: Overrides,
        loose: tuple[Loose, ...],
    ) -> None:
        self._policies = policies
        self._lower = {name.lower(): name for name in policies}
        self._sets = {name.lower(): members for name, members in sets.items()}
        self._overrides = overrides
        self._loose = loose
        self._panda = usagepanda.Aliases(policies, context) if overrides.usagepanda else None

    def wish(self, traits: Traits, armed: Sequence[Policy]) -> Wish:
        """What the headers ask for; ``armed`` are the policies that apply without them.

        Raises:
            Refused: they ask for something that does not exist or is not allowed.
        """
        if self._panda is None and NAME not in " ".join(traits.headers):
            return NOTHING
        adds: frozenset[str] = frozenset()
        actions: dict[str, Action | None] = {}
        values: dict[str, str] = {}
        count = 0
        names = frozenset(each.name for each in armed)
        for name, value in traits.headers.items():
            if name.startswith(NAME) and (name == NAME or name.startswith(_PREFIX)):
                count += 1
                if not self._overrides.headers or count > _MOST:
                    raise _refused("Headers that change policies are not allowed here, or there are too many.")
                if name == NAME:
                    adds = self._added(value)
                else:
                    policy, word = self._named(name.removeprefix(_PREFIX)), value.strip().lower()
                    if word in policy.overrides:
                        values[policy.name] = self._valued(policy, word, traits, names)
                    else:
                        actions[policy.name] = self._changed(policy, word, traits, names)
        own = tuple(each for each in self._panda.policies(traits) if each not in armed) if self._panda else ()
        return Wish(
            adds - names - frozenset(actions), tuple(sorted(actions.items())), own, tuple(sorted(values.items()))
        )

    def _added(self, value: str) -> frozenset[str]:
        found: set[str] = set()
        names = [name.strip().lower() for name in value.split(",")][: _MOST + 1]
        for name in names:
            members = self._sets.get(name) or {self._lower[name]} if name in self._sets or name in self._lower else None
            if members is None or len(names) > _MOST:
                raise _refused(f"{NAME} names a policy or set that does not exist, or too many.")
            found |= {each for each in members if self._policies[each].tightens}
        return frozenset(found)

    def _named(self, name: str) -> Policy:
        policy = self._policies.get(self._lower.get(name, ""))
        if policy is None:
            raise _refused("A header names a policy that does not exist.")
        return policy

    def _valued(self, policy: Policy, word: str, traits: Traits, armed: frozenset[str]) -> str:
        order = policy.overrides
        if policy.name not in armed or order.index(word) < order.index(policy.override):
            self._must_be_loose(policy, traits)
        return word

    def _changed(self, policy: Policy, word: str, traits: Traits, armed: frozenset[str]) -> Action | None:
        if word not in _ACTIONS:
            words = ", ".join((*_ACTIONS, *policy.overrides))
            raise _refused(f"{_PREFIX}{policy.name} must be one of {words}.")
        action = _ACTIONS[word]
        if not policy.can(action):
            raise _refused(f"The policy '{policy.name}' cannot do that.")
        now = None if policy.name not in armed else policy.does if policy.enforced else Action.AUDIT
        weaker = _STRENGTH[action] < _STRENGTH[now] or not policy.tightens
        if weaker:
            self._must_be_loose(policy, traits)
        return action

    def _must_be_loose(self, policy: Policy, traits: Traits) -> None:
        if not any(policy.name in each.names and each.applies(traits) for each in self._loose):
            raise _refused(f"The policy '{policy.name}' cannot be weakened by a header.")


def _refused(why: str) -> Refused:
    return Refused(400, "policy_override", why)
