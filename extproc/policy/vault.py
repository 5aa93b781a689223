"""Reversible redaction (D6): what was taken out of a request, and under which placeholder, for as long as one exchange.

Where a policy with ``restore: true`` redacts a text, the vault puts a placeholder in its place that stands for this very
text ("[email_1]"), the same one wherever the text comes again. In the
answer the placeholders are rules like any others (case does not count: models re-case them); what replaces them is the
original. Nothing is kept when the exchange is over, and no other exchange can see it. Numbers follow the order in which
the texts come up, so a conversation that sends its history along keeps its placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Final

from extproc.framing.jsontext import dump
from extproc.policy.api import Action, Mode, Phase, Policy, Scope
from extproc.policy.rules import Rule
from extproc.policy.words import WordRule

_MOST: Final = 1_000
"""Different texts of one request. Those beyond stay redacted: the placeholders are told apart, but not restored."""
_DIGITS: Final = 9
NAME: Final = "restore"


class Vault:
    """One exchange's.

    Args:
        avoid: the request as it came; no placeholder is used that it already contains, in whatever case.
    """

    __slots__ = ("_avoid", "_hidden", "_numbers", "_originals", "_placeholders")

    def __init__(self, avoid: str) -> None:
        self._avoid = avoid.lower()  # models re-case placeholders, and those count
        self._originals: dict[str, str] = {}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, Iterator[str]] = {}
        self._hidden: list[tuple[str, str]] | None = None

    def __len__(self) -> int:
        return len(self._originals)

    def __repr__(self) -> str:
        return f"<Vault of {len(self)}>"  # never what is in it

    def replacement(self, label: str, plain: str, original: str) -> str:
        """What stands for ``original``, which a rule ``label`` would replace by ``plain``."""
        key = (plain, original)
        found = self._placeholders.get(key)
        if found is None:
            found = self._placeholders[key] = self._next(label, plain)
            if len(self._originals) < _MOST:
                self._originals[found] = original
                self._hidden = None
        return found

    def _next(self, label: str, plain: str) -> str:
        before, name, after = plain.partition(label)
        head = f"{before}{name}_"
        if plain not in self._numbers:
            self._numbers[plain] = self._free(head, after)
        return f"{head}{next(self._numbers[plain])}{after}"

    def _free(self, head: str, after: str) -> Iterator[str]:
        """Numbers that do not yet stand between these. One look at the request, however many it has."""
        source = f"{re.escape(head.lower())}(?=([0-9]{{1,{_DIGITS}}}){re.escape(after.lower())})"
        used = set(re.findall(source, self._avoid))
        if not after:
            used |= {number[:size] for number in used for size in range(1, len(number))}
        return (number for number in map(str, count(1)) if number not in used)

    def hide(self, text: str) -> str:
        """A text of the answer with the placeholders back in place of the originals: for whoever must not see them.

        Also of originals as they stand in JSON source. The longest first, so that no end of one is left.
        """
        if self._hidden is None:
            found = {original: placeholder for placeholder, original in self._originals.items()}
            found = {dump(original).decode()[1:-1]: placeholder for original, placeholder in found.items()} | found
            self._hidden = sorted(found.items(), key=lambda pair: -len(pair[0]))
        for original, placeholder in self._hidden:
            text = text.replace(original, placeholder)
        return text

    def policy(self) -> Policy | None:
        """The policy that restores the answer; None where nothing was taken out."""
        if not self._originals:
            return None
        rules: list[Rule] = [
            WordRule(NAME, [placeholder], original) for placeholder, original in self._originals.items()
        ]
        return Policy(
            name=NAME,
            action=Action.REDACT,
            mode=Mode.ENFORCE,
            phases=frozenset({Phase.RESPONSE}),
            scopes=frozenset(Scope),
            rules=tuple(rules),
        )
