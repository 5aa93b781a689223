"""The ``x-usagepanda-*`` request headers, as policies for one request (D14). They add; they never take away.

Source: the Usage Panda proxy's documentation of its headers. Other than there, an empty header changes nothing, and a
limit that is already stricter stays. Headers that have no meaning here (retries are Envoy's, what is logged is the
operator's) are ignored; every ``x-usagepanda-*`` header stays inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from extproc.errors import ConfigError, Refused
from extproc.policy.api import Action, Mode, Phase, Policy
from extproc.policy.attach import Traits
from extproc.policy.kinds import ANY_POLICY
from extproc.policy.kinds.base import Context

PREFIX: Final = "x-usagepanda-"
_MOST: Final = 16
_PACKS: Final = {"profanity": "profanity", "adult": "adult", "dan": "prompt-injection"}
_ACTIONS: Final = {action.value: action for action in (Action.AUDIT, Action.REDACT, Action.BLOCK)}
_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0", "none", ""})


class Aliases:
    """Reads these headers.

    Args:
        policies: the operator's, by name: ``custom`` is the one of that name, moderation the first of that kind.
        context: what the others are compiled with.
    """

    def __init__(self, policies: Mapping[str, Policy], context: Context) -> None:
        self._policies = policies
        self._context = context
        self._cached = lru_cache(256)(self._made)
        self._listed = lru_cache(256)(self._list)  # the same policy for the same words: it is compiled once
        self._readers: dict[str, Callable[[str], tuple[Policy, ...]]] = {
            "request-wordlists": lambda value: self._lists(value, "request"),
            "response-wordlists": lambda value: self._lists(value, "response"),
            "max-tokens": lambda value: self._limit("max_output_tokens", value),
            "max-prompt-chars": lambda value: self._limit("max_prompt_chars", value),
            "enforce-user-ids": self._user,
            "auto-moderate": self._moderated,
            "prompt-reflection": self._reflection,
        }

    def policies(self, traits: Traits) -> tuple[Policy, ...]:
        """Policies that the headers ask for.

        Raises:
            Refused: they ask for something that cannot be had.
        """
        found: list[Policy] = []
        for name, value in traits.headers.items():
            if name.startswith(PREFIX) and (reader := self._readers.get(name.removeprefix(PREFIX))):
                found += reader(value.strip().lower())
        return tuple({id(each): each for each in found}.values())

    def _lists(self, value: str, phase: str) -> tuple[Policy, ...]:
        found = []
        entries = [each.strip() for each in value.split(",", _MOST)]
        if len(entries) > _MOST:
            raise _refused(f"{PREFIX}{phase}-wordlists names more than {_MOST} lists.")
        for entry in filter(None, entries):
            name, _, word = entry.partition(":")
            action = _ACTIONS.get(word.strip())
            if action is None:
                raise _refused(f"{PREFIX}{phase}-wordlists: write LIST:ACTION, where ACTION is audit, redact or block.")
            found.append(self._listed(name.strip(), Phase(phase), action))
        return tuple(found)

    def _list(self, name: str, phase: Phase, action: Action) -> Policy:
        if name in _PACKS:
            made = self._cached(name, ("kind", "wordlist"), ("pack", _PACKS[name]))
        elif name == "custom" and "custom" in self._policies:
            made = self._policies["custom"]
        else:
            raise _refused(f"{PREFIX}{phase}-wordlists names a list that does not exist.")
        judges = made.request if phase is Phase.REQUEST else None
        return replace(made.acting(action, Mode.ENFORCE), phases=frozenset({phase}), request=judges)

    def _limit(self, field: str, value: str) -> tuple[Policy, ...]:
        if value in ("", "0"):
            return ()
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise _refused(f"{PREFIX}* limits must be whole numbers.")
        limit: Any = {"max": int(value), "over": "reject"} if field == "max_output_tokens" else int(value)
        return (self._compile("caps", {"kind": "caps", field: limit}),)

    def _user(self, value: str) -> tuple[Policy, ...]:
        return (self._cached("user-id", ("kind", "identity"), ("require_user", True)),) if _on(value) else ()

    def _moderated(self, value: str) -> tuple[Policy, ...]:
        if not _on(value):
            return ()
        found = next((each for each in self._policies.values() if each.moderation), None)
        if found is None:
            raise _refused(f"{PREFIX}auto-moderate: no moderation is configured here.")
        return (found,)

    def _reflection(self, value: str) -> tuple[Policy, ...]:
        if value in _FALSE:
            return ()
        if value not in _ACTIONS:
            raise _refused(f"{PREFIX}prompt-reflection must be none, audit, redact or block.")
        return (self._cached("reflection", ("kind", "reflection"), ("action", value)),)

    def _made(self, name: str, *fields: tuple[str, Any]) -> Policy:
        return self._compile(name, dict(fields))

    def _compile(self, name: str, fields: Mapping[str, Any]) -> Policy:
        try:
            return ANY_POLICY.validate_python(fields).compile(name, self._context)
        except (ConfigError, ValueError):
            raise _refused("A header asks for what cannot be done here.") from None


def _on(value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise _refused(f"{PREFIX}* switches are true or false.")


def _refused(why: str) -> Refused:
    return Refused(400, "policy_override", why)
