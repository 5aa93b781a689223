"""Parameters of a request that the operator sets or takes out, by dotted name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from extproc.framing.jsonedit import REMOVED, EditPath, edited
from extproc.policy.fields import PROMPTS, Shape, added, at, members, place, plain

_KEPT: Final = PROMPTS | {"model", "stream", "system", "systeminstruction", "instructions"}


def parameter(name: str) -> str:
    """The name, if it may be changed.

    Raises:
        ValueError: the conversation, the model and the way the answer comes are no parameters.
    """
    if not all(name.split(".")) or plain(name.split(".")[0]) in _KEPT:
        raise ValueError(f"'{name}' is not a parameter that can be changed here")
    return name


class Parameters:
    """What is set and what is taken out. A parameter has its value in one spelling only; others of it are taken out.

    Raises:
        ValueError: a parameter is named twice, or lies inside another.
    """

    __slots__ = ("_removed", "_set")

    def __init__(self, values: Mapping[str, Any], removed: Iterable[str]) -> None:
        self._set = {_plain(name.split(".")): (tuple(name.split(".")), value) for name, value in values.items()}
        self._removed = {_plain(name.split(".")) for name in removed}
        named = [*self._set, *self._removed]
        inside = any(one == other[: len(one)] for one in named for other in named if other is not one)
        if inside or len(self._set) < len(values) or self._removed & self._set.keys():
            raise ValueError("`set` and `remove` name a parameter twice, or one inside another")

    def edits(self, body: dict[str, Any], shape: Shape) -> dict[EditPath, Any]:
        """What is to be changed in this body."""
        edits: dict[EditPath, Any] = {}
        places = {name: place(body, path, shape) for name, (path, _) in self._set.items()}
        for member in members(body) if self._removed or self._set else ():
            name = _plain(member.path)
            if name in self._removed or places.get(name, member.path) != member.path:
                edits[member.path] = REMOVED
        for name, (_, value) in self._set.items():
            old = at(body, places[name])
            if old != value or type(old) is not type(value):
                path, new = added(body, places[name], value)
                if path in edits:  # another parameter already made an object there
                    new = edited(edits[path], {places[name][len(path) :]: value})
                edits[path] = new
        return edits


def _plain(path: Iterable[str | int]) -> tuple[str, ...]:
    return tuple(map(plain, path))
