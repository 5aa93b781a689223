r"""What a family of secrets is: its name, its group and the shapes its secrets come in; and the rule for a shape.

A shape begins with a short, telling *opener* (``ghp_``, ``password``), by which texts without secrets are passed over
(see ``policy.gate``). What follows is either part of the secret itself or, for secrets without a shape of their own,
a *lead*: the rest of what says that a secret follows, which is looked at but not redacted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from extproc.policy.gate import Gate, gate
from extproc.policy.pattern import Bounded, parse
from extproc.policy.rules import RegexRule, Sample

Check = Callable[[str], bool]
"""Whether a body really looks like that of a secret."""

Allowed = Callable[[str], bool]
"""Whether a secret is one the operator never wants reported."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a family's secrets. All expressions in syntax that RE2 and Python share, without captures.

    Args:
        opener: what every secret of this shape begins with.
        body: what follows, up to a bounded length.
        check: what else must be true of the body.
        whole: the check sees the opener, too.
        lead: between opener and body; where there is one, only the body is the secret.
        most: longest body; the expression of a body that must end there allows one character more.
        keep: last characters of the body that only tell where the secret ends.
        more: characters that a secret goes on with behind its body, however many; as a class, or as alternatives of one
            character each. Not together with a lead.
    """

    opener: str
    body: str
    check: Check | None = None
    lead: str = ""
    most: int = 0
    keep: int = 0
    whole: bool = False
    more: str = ""

    @property
    def bounded(self) -> Bounded:
        """The whole expression."""
        return _parsed(
            f"(?:{self.opener})(?:{self.lead})(?:{self.body})" if self.lead else f"(?:{self.opener})(?:{self.body})"
        )


@dataclass(frozen=True, slots=True)
class Family:
    """Secrets of one kind, as ``find`` and ``{type}`` name them. ``about`` is for people."""

    name: str
    group: str
    about: str
    shapes: tuple[Shape, ...]


_parsed: Final = lru_cache(maxsize=1024)(parse)
_compiled: Final = lru_cache(maxsize=1024)(re.compile)  # when first needed: most never are


class SecretRule(RegexRule):
    """The rule for one shape."""

    __slots__ = ("_allowed", "_fullmatch", "_more", "_parts", "_shape", "gate", "open_ended")

    def __init__(self, label: str, shape: Shape, replacement: str, gate: tuple[Gate, int], allowed: Allowed) -> None:
        super().__init__(label, shape.bounded, replacement, self._secret)
        self.gate = gate
        self.open_ended = bool(shape.more)
        self._shape = shape
        self._allowed = allowed
        self._parts = f"(?:{shape.opener})(?:{shape.lead})({shape.body})"
        self._fullmatch: Callable[[str], re.Match[str] | None] | None = None
        self._more = f"(?:{shape.more})*+"

    def extend(self, sample: Sample, end: int) -> int:
        """See ``RegexRule.extend``."""
        match = _compiled(self._more).match(sample.text, end)
        return match.end() if match else end

    def _secret(self, candidate: str) -> int | tuple[int, int]:
        shape, end = self._shape, len(candidate) - self._shape.keep
        if self._fullmatch is None:
            self._fullmatch = _compiled(self._parts).fullmatch
        parts = self._fullmatch(candidate)  # RE2 and Python agree but for the case of a few letters
        if parts is None or (shape.most and len(parts[1]) > shape.most):
            return -len(candidate)
        body = candidate[0 if shape.whole else parts.start(1) : end]
        start = parts.start(1) if shape.lead else 0
        if (shape.check is not None and not shape.check(body)) or self._allowed(candidate[start:end]):
            return -len(candidate)
        return start, end


def rules(families: Sequence[Family], replacement: Callable[[str], str], allowed: Allowed) -> list[RegexRule]:
    """One rule a shape, all behind one gate. ``replacement`` gives what stands in for a family's secrets."""
    shapes = [(family.name, shape) for family in families for shape in family.shapes]
    shared = gate(tuple(shape.opener for _, shape in shapes))
    return [
        SecretRule(name, shape, replacement(name), (shared, number), allowed)
        for number, (name, shape) in enumerate(shapes)
    ]
