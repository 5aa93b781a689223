"""Additions to YAML (or JSON) text that leave every other byte as it is, and the way back.

Where something goes is found in the parsed nodes' marks; what is written is text. In block style each addition is whole
lines between two comments, by which it is found again; flow style (JSON too) has no place for comments: there an addition
stands before something that was there, and ends where that begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from extproc.errors import ConfigError, Problem
from extproc.framing.jsontext import dump, dump_pretty
from extproc.render.target import yaml_of

_MERGE: Final = "tag:yaml.org,2002:merge"
_BEGIN: Final = "# >>> llm-extproc {}: added by `extproc render`, which takes it out again with --remove-from"
_END: Final = "# <<< llm-extproc {}"


class _Loader(yaml.SafeLoader):
    """Also tells where aliases stand: composed nodes only say where their anchors are."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.alias_at: dict[tuple[int, int], int] = {}

    def compose_node(self, parent: Any, index: Any) -> Node | None:
        """See PyYAML."""
        if isinstance(parent, SequenceNode) and self.check_event(yaml.AliasEvent):
            self.alias_at[id(parent), index] = self.peek_event().start_mark.index  # type: ignore[no-untyped-call]
        node: Node | None = super().compose_node(parent, index)
        return node


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch of text, by offsets; ``text`` takes its place."""

    start: int
    end: int
    text: str = ""


class Document:
    """A parsed text.

    Args:
        name: what errors call it.

    Raises:
        ConfigError: it is not one YAML document.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        try:
            loader = _Loader(text)
            self.root = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            raise ConfigError([Problem(error.problem or "not YAML", name, line, column)]) from None
        except yaml.YAMLError as error:
            raise ConfigError([Problem(str(error), name)]) from None
        self._alias_at = loader.alias_at

    @cached_property
    def _dashes(self) -> list[int]:
        """Where items of lists in block style begin."""
        tokens = yaml.scan(self.text, yaml.SafeLoader)
        return [each.start_mark.index for each in tokens if isinstance(each, yaml.BlockEntryToken)]

    def problem(self, node: Node | None, message: str) -> ConfigError:
        """An error about a place in the text."""
        mark = node.start_mark if node else None
        where = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        return ConfigError([Problem(message, self.name, *where)])

    # additions

    def add_item(self, sequence: SequenceNode, index: int, value: Any, label: str) -> Cut:
        """Put an item before the one at ``index``, which has to be there.

        Args:
            label: by which it is found again.
        """
        if not 0 <= index < len(sequence.value):
            raise self.problem(sequence, "an empty list, which nothing can be added to: leave it out")
        at = self._alias_at.get((id(sequence), index), sequence.value[index].start_mark.index)
        if sequence.flow_style:
            return self._flow(at, _one_line(value), dump_pretty(value))
        dash = max((each for each in self._dashes if each < at), default=-1)
        return self._lines(dash, yaml_of([value]), label, sequence)

    def add_key(self, mapping: MappingNode, value: dict[str, Any], label: str) -> Cut:
        """Put keys into a mapping that has some."""
        if not mapping.value:
            raise self.problem(mapping, "an empty mapping, which nothing can be added to: leave it out")
        starts = [key.start_mark.index for key, _ in mapping.value]
        if mapping.flow_style:
            return self._flow(starts[0], _one_line(value)[1:-1], _inner(value))
        for start in starts:
            if not self.text[self._line(start) : start].strip(" "):
                return self._lines(start, yaml_of(value), label, mapping)
        raise self.problem(mapping, "nothing can be added here: begin one of its keys on a line of its own")

    def _flow(self, at: int, short: str, long: str) -> Cut:
        """Before something in flow style: in the same line, or on lines of its own where that has one."""
        indent = self.text[self._line(at) : at]
        if indent.strip():
            return Cut(at, at, f"{short}, ")
        end = self._newline(at)
        return Cut(at, at, (long + ",\n").replace("\n", end + indent))

    def _lines(self, at: int, text: str, label: str, node: Node) -> Cut:
        """Before what begins at ``at`` on a line of its own, and before the comments that belong to it."""
        start = self._line(at) if at >= 0 else 0
        indent = self.text[start : max(at, 0)]
        if at < 0 or indent.strip(" "):
            raise self.problem(node, "nothing can be added here: begin each item on a line of its own")
        while start > 0:
            above = self._line(start - 1)
            line = self.text[above:start]
            if not line.startswith(f"{indent}#") or line.startswith(f"{indent}{_END.format('')}"):
                break
            start = above
        end = self._newline(at)
        lines = [_BEGIN.format(label), *text.splitlines(), _END.format(label)]
        return Cut(start, start, "".join(f"{indent}{each}{end}" for each in lines))

    def _line(self, at: int) -> int:
        """Where the line begins."""
        return self.text.rfind("\n", 0, at) + 1

    def _newline(self, at: int) -> str:
        """How lines end there."""
        end = self.text.find("\n", at)
        return "\r\n" if end > 0 and self.text[end - 1] == "\r" else "\n"

    # and the way back

    def flow_cut(self, container: MappingNode | SequenceNode, index: int, count: int = 1) -> Cut:
        """An addition in flow style: from its beginning to that of what follows."""
        values = [each[0] if isinstance(each, tuple) else each for each in container.value]
        starts = [each.start_mark.index for each in values]
        if index + count < len(starts):
            return Cut(starts[index], starts[index + count])
        raise self.problem(values[index], "this stands last, where nothing was added: remove it by hand")


_MARKER: Final = re.compile(
    r"^ *# (?P<sign>>>>|<<<) llm-extproc (?P<label>[\w-]+)(?:: added by[^\n]*)?\r?\n", re.MULTILINE
)


def _one_line(value: Any) -> str:
    return dump(value).decode()


def _inner(value: dict[str, Any]) -> str:
    """A JSON object's keys, each on lines of its own, without the braces."""
    lines = dump_pretty(value).splitlines()[1:-1]
    return "\n".join(line[2:] for line in lines)


def apply(text: str, cuts: list[Cut]) -> str:
    """The text with every stretch replaced; of several at one place the first goes first."""
    for _, cut in sorted(enumerate(cuts), key=lambda each: (each[1].start, each[0]), reverse=True):
        text = text[: cut.start] + cut.text + text[cut.end :]
    return text


def block_cuts(text: str, label: str, name: str) -> Iterator[Cut]:
    """Every addition in block style.

    Raises:
        ConfigError: the comments around them are not as they were.
    """
    begin: int | None = None
    for match in _MARKER.finditer(text):
        opens, what = match["sign"] == ">>>", match["label"]
        if begin is None:
            if what == label and opens:
                begin = match.start()
        elif what != label:
            raise _unremovable(name, f"what belongs to {what} stands within what belongs to {label}: remove that first")
        elif opens:
            break
        else:
            yield Cut(begin, match.end())
            begin = None
    if begin is not None:
        raise _unremovable(name, f"the comment that ends what belongs to {label} is missing")


def _unremovable(name: str, why: str) -> ConfigError:
    return ConfigError([Problem(why, name)])


# reading nodes


def get(node: Node | None, *path: str) -> Node | None:
    """What stands under these keys; what ``<<`` brings along counts."""
    for key in path:
        if not isinstance(node, MappingNode):
            return None
        node = next((value for name, value in _pairs(node) if name == key), None)
    return node


def _pairs(mapping: MappingNode) -> Iterator[tuple[str, Node]]:
    for key, value in mapping.value:
        if key.tag != _MERGE and isinstance(key, ScalarNode):
            yield key.value, value
    for key, value in mapping.value:
        if key.tag == _MERGE:
            for each in value.value if isinstance(value, SequenceNode) else [value]:
                if isinstance(each, MappingNode):
                    yield from _pairs(each)


def items(node: Node | None) -> list[Node]:
    """Of a list; none where there is none."""
    return list(node.value) if isinstance(node, SequenceNode) else []


def scalar(node: Node | None) -> str:
    """Of a scalar; empty where there is none."""
    return str(node.value) if isinstance(node, ScalarNode) else ""


def plain(node: Node | None) -> Any:
    """Everything a node says, for comparing: scalars with their types, mappings with their order left out."""
    if isinstance(node, MappingNode):
        return {scalar(key): plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [plain(each) for each in node.value]
    return (node.tag, node.value) if node else None
