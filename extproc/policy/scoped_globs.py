"""Globs over whole texts, with the role they are about: ``system:*jailbreak*`` (D2). Case does not count.

A glob spans a whole text, so it is judged where the text is whole: in requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from extproc.policy.api import Scope
from extproc.policy.globs import Globs
from extproc.policy.request import Request, Verdict

_ROLES: Final = {
    "system": {Scope.SYSTEM},
    "developer": {Scope.SYSTEM},
    "user": {Scope.USER},
    "assistant": {Scope.ASSISTANT, Scope.REASONING},
    "tool": {Scope.TOOL_INPUT, Scope.TOOL_OUTPUT},
}


class ScopedGlobs:
    """See ``RequestRule``. Each entry is a glob, or ``ROLE:GLOB`` with one of the roles of a conversation."""

    def __init__(self, label: str, entries: Sequence[str], scopes: frozenset[Scope]) -> None:
        self._label = label
        by_scope: dict[Scope, list[str]] = {}
        for entry in entries:
            role, colon, glob = entry.partition(":")
            named = _ROLES.get(role.strip().lower()) if colon else None
            for scope in scopes & named if named else scopes:
                by_scope.setdefault(scope, []).append(glob if named else entry)
        self._globs = {scope: Globs(globs, ignore_case=True) for scope, globs in by_scope.items()}

    def judge(self, request: Request) -> Verdict | None:
        """Refuse where a text is as one of them."""
        for span in request.spans:
            if (globs := self._globs.get(span.scope)) and span.text in globs:
                return Verdict(self._label)
        return None
