"""The gate: what an answer would send waits here until services have judged the words in it.

Words are asked about in windows: as soon as so many characters have come, and at the end. Each window begins with the
last words of the one before it, so that nothing hides on the border. ``lag`` characters may leave unjudged; 0 means none.
Order is kept: whatever comes behind something that waits, waits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

from extproc.events import ContinueResponse, Effect, Send
from extproc.exchange.judging import Judging, Question, Said
from extproc.policy.api import Phase, Policy, Scope

_AGAIN: Final = 4
"""The part of a window that is judged again with the next: one in so many."""

Words = tuple[Hashable, Scope, str]
"""A text that goes on under the same key, whose words it is, and its next part."""


class Gate:
    """One answer's.

    ``held`` are the bytes that wait.

    Args:
        judging: asks, and knows what is still open.
        policies: those of the exchange; some have services that judge answers.
        first: questions about the request, without whose answers nothing may leave.
        hide: takes out of a text what no service may be told.
    """

    def __init__(
        self,
        judging: Judging,
        policies: Sequence[Policy],
        first: Sequence[Question],
        hide: Callable[[str], str] = str,
    ) -> None:
        self._judging = judging
        self._hide = hide
        self._policies = [each for each in policies if each.moderation and Phase.RESPONSE in each.phases]
        self._first = first
        self._window = min((each.moderation.window for each in self._policies), default=0)
        self._lag: float = min((each.moderation.lag for each in self._policies if each.enforced), default=math.inf)
        self._effects: deque[tuple[int, list[Effect]]] = deque()  # with the place in the words up to which they go
        self._asked: deque[tuple[int, list[Question]]] = deque()  # windows: where they end, what was asked
        self._new: dict[tuple[Hashable, Scope], list[str]] = {}  # texts without a track share a key, not a scope
        self._before: dict[tuple[Hashable, Scope], str] = {}
        self._said = self._judged = 0
        self.held = 0
        """Bytes that wait."""
        self.begun = False

    @property
    def listens(self) -> bool:
        """Whether it wants to hear what the answer says."""
        return bool(self._policies)

    @property
    def waits(self) -> bool:
        """Whether something has not left."""
        return bool(self._effects)

    def take(self, effects: list[Effect], words: Iterable[Words], *, end: bool) -> list[Effect]:
        """What an answer would say next, and the words in it; returns what may leave now."""
        for key, scope, text in words:
            self._new.setdefault((key, scope), []).append(text)
            self._said += len(text)
        if effects:
            self._effects.append((self._said, effects))
            self.held += _size(effects)
        unasked = self._said - (self._asked[-1][0] if self._asked else self._judged)
        if unasked and (end or unasked >= self._window):
            self._ask()
        return self.open()

    def _ask(self) -> None:
        texts: list[Said] = []
        for key, parts in self._new.items():
            text = self._hide(self._before.get(key, "") + "".join(parts))  # whole: what comes in pieces is one word
            texts.append((key[1], text))
            self._before[key] = text[-(self._window // _AGAIN or 1) :]
        self._new.clear()
        self._asked.append((self._said, self._judging.ask(self._policies, Phase.RESPONSE, texts)))

    def open(self) -> list[Effect]:
        """What may leave by now."""
        if self._judging.waiting(self._first):
            return []
        while self._asked and not self._judging.waiting(self._asked[0][1]):
            self._judged = self._asked.popleft()[0]
        out: list[Effect] = []
        while self._effects and self._effects[0][0] <= self._judged + self._lag:
            out += self._effects.popleft()[1]
        self.held -= _size(out)
        self.begun = self.begun or any(isinstance(each, ContinueResponse) for each in out)
        return out


def _size(effects: Iterable[Effect]) -> int:
    return sum(len(each.body) for each in effects if isinstance(each, Send))
