"""The guard (or shadow) put into an Envoy bootstrap that is there, and taken out again to the byte.

Every result is checked before it is given out: what was added is all that differs, it stands where it was meant to, and
taking it out gives the bytes that were there before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from extproc.envoy import types
from extproc.envoy.types import Json, typed
from extproc.errors import ConfigError, Problem
from extproc.render.edit import Cut, Document, apply, block_cuts, get, plain, scalar
from extproc.render.order import cautions, place
from extproc.render.places import Manager, Route, clusters, index_of, managers, routes
from extproc.render.target import yaml_of

_PER_ROUTE: Final = "typed_per_filter_config"
_LIMIT: Final = "request_body_buffer_limit"
_LIMITS: Final = (_LIMIT, "per_request_buffer_limit_bytes")
_CONNECTION: Final = "per_connection_buffer_limit_bytes"


@dataclass(frozen=True, slots=True)
class Addition:
    """What is to be added.

    Args:
        label: ``guard`` or ``shadow``.
        max_body: bytes of a request that Envoy has to be able to collect; 0 where it collects none.
        old: whether only the listener's limit counts for that (Envoy 1.36).
        listeners: names; empty for all.
        only: routes to act on, by name, path or HOST:either; empty for all.
        but: routes not to act on.
    """

    label: str
    filter: Json
    cluster: Json
    max_body: int = 0
    old: bool = False
    listeners: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The filter's."""
        return str(self.filter["name"])

    @property
    def in_chain(self) -> Json:
        """The filter as it stands in the chain: where only some routes are meant, these switch it on."""
        if not self.only:
            return self.filter
        return {"name": self.name, "disabled": True, **{k: v for k, v in self.filter.items() if k != "name"}}

    @property
    def on_routes(self) -> Json:
        """What a route that is named says of it."""
        switch: Json = {"config": {}} if self.only else {"disabled": True}
        return {self.name: typed(types.FILTER_CONFIG, **switch)}


@dataclass(slots=True)
class Merged:
    """The new text; what the operator is to know; whether nothing had to be done."""

    text: str
    notes: list[str] = field(default_factory=list)
    already: bool = False


def merge(text: str, addition: Addition, name: str) -> Merged:
    """Add what is not there yet.

    Args:
        text: a bootstrap, YAML or JSON.
        name: the file's, for errors.

    Raises:
        ConfigError: it cannot be done; nothing is half done.
    """
    work = _Work(Document(text, name), addition)
    cuts = work.cuts()
    merged = Merged(apply(text, cuts), work.notes, already=not cuts)
    if cuts:
        _check(text, merged.text, work, name)
    return merged


class _Work:
    """One merge: what has to be added where, and what there is to say."""

    def __init__(self, document: Document, addition: Addition) -> None:
        self.document, self.addition = document, addition
        self.notes: list[str] = []
        self.all = list(managers(document.root))
        self.chosen = self._chosen()

    def _chosen(self) -> list[Manager]:
        if not self.all:
            raise self.document.problem(None, "no HTTP connection manager in static_resources.listeners")
        found = {each.listener for each in self.all}
        for name in self.addition.listeners:
            if name not in found:
                raise self.document.problem(None, f"no listener {name} with HTTP; there are {', '.join(sorted(found))}")
        return [each for each in self.all if self._is_meant(each)]

    def _is_meant(self, manager: Manager) -> bool:
        if self.addition.listeners:
            return manager.listener in self.addition.listeners
        inside = not manager.elsewhere and not any(map(self._named, routes(manager)))
        return not (self.addition.only and inside)

    def cuts(self) -> list[Cut]:
        """All additions."""
        self._routes_are_there()
        found = self._cluster()
        lists: set[int] = set()
        for manager in self.chosen:
            if id(manager.filters) not in lists:
                lists.add(id(manager.filters))
                found += self._filter(manager)
        touched: set[int] = set()
        for manager in self.chosen:
            found += self._per_route(manager, touched)
            self._cautions(manager)
        self.notes = list(dict.fromkeys(self.notes))
        return found

    def _cluster(self) -> list[Cut]:
        name = self.addition.cluster["name"]
        there = clusters(self.document.root).get(name)
        if there is not None:
            if not any(index_of(each.filters, self.addition.name) is not None for each in self.all):
                raise self.document.problem(there, f"there is a cluster {name} already, and it is not ours")
            self._note_difference(there, self.addition.cluster, f"cluster {name}")
            return []
        resources = get(self.document.root, "static_resources")
        sequence = get(resources, "clusters")
        if isinstance(sequence, SequenceNode):
            return [self.document.add_item(sequence, 0, self.addition.cluster, self.addition.label)]
        if not isinstance(resources, MappingNode):
            return []  # the listeners are in it
        return [self.document.add_key(resources, {"clusters": [self.addition.cluster]}, self.addition.label)]

    def _filter(self, manager: Manager) -> list[Cut]:
        sequence = manager.filters
        if not isinstance(sequence, SequenceNode):
            raise self.document.problem(manager.node, "this connection manager has no http_filters")
        index = index_of(sequence, self.addition.name)
        if index is None:
            at = place(manager.filter_types)
            return [self.document.add_item(sequence, at, self.addition.in_chain, self.addition.label)]
        there = sequence.value[index]
        if (scalar(get(there, "disabled")) == "true") != bool(self.addition.only):
            raise self.document.problem(
                there, f"{self.addition.name} is there already, but for other routes than these: remove it first"
            )
        self._note_difference(there, self.addition.in_chain, f"filter {self.addition.name}")
        return []

    def _note_difference(self, there: Node, wanted: Json, what: str) -> None:
        if plain(there) != plain(yaml.compose(yaml_of(wanted), yaml.SafeLoader)):
            self.notes.append(
                f"{what} is there already, but is not what would be rendered now: take it out with --remove-from, and "
                "merge again"
            )

    # routes

    def _routes_are_there(self) -> None:
        asked = self.addition.only or self.addition.but
        meant = self.chosen if self.addition.listeners else self.all
        inside = [each for manager in meant for each in routes(manager)]
        missing = [each for each in asked if not any(each in route.calls for route in inside)]
        if missing and not any(each.elsewhere for each in meant):
            known = ", ".join(dict.fromkeys(route.calls[0] for route in inside if route.calls)) or "none"
            raise self.document.problem(None, f"no route {', '.join(missing)}; there are: {known}")
        if missing:
            self.notes.append(
                f"routes {', '.join(missing)} are not in this file; put this into each of them, where they are configured:\n"
                + yaml_of({_PER_ROUTE: self.addition.on_routes})
            )

    def _named(self, route: Route) -> bool:
        return any(each in route.calls for each in self.addition.only or self.addition.but)

    def _per_route(self, manager: Manager, touched: set[int]) -> Iterator[Cut]:
        for route in routes(manager):
            guarded = self.addition.label == "guard" and self._named(route) is bool(self.addition.only)
            if guarded and get(route.node, "direct_response", "body") is not None:
                self.notes.append(
                    f"line {route.node.start_mark.line + 1}: of Envoy's own answers the guard may lose the body: leave the "
                    "route out with --except-route"
                )
            if self._named(route) and id(route.node) not in touched:
                touched.add(id(route.node))
                yield from self._on_route(route.node)
        if self.addition.old and isinstance(manager.whole, MappingNode) and id(manager.whole) not in touched:
            touched.add(id(manager.whole))
            yield from self._limit(manager.whole, _CONNECTION)
        elif manager.elsewhere:
            self._say_limit(f"routes of listener {manager.listener} are not in this file")
        if not self.addition.only:
            for host in manager.hosts:
                if isinstance(host, MappingNode) and id(host) not in touched:
                    touched.add(id(host))
                    yield from self._limit(host)

    def _on_route(self, route: MappingNode) -> Iterator[Cut]:
        label, there = self.addition.label, get(route, _PER_ROUTE)
        if get(there, self.addition.name) is not None:
            return
        if isinstance(there, MappingNode):
            yield self.document.add_key(there, self.addition.on_routes, label)
            if self.addition.only:
                yield from self._limit(route)
            return
        limit = {_LIMIT: self.addition.max_body} if self.addition.only and self._wants_limit(route, _LIMITS) else {}
        yield self.document.add_key(route, {**limit, _PER_ROUTE: self.addition.on_routes}, label)

    def _limit(self, node: MappingNode, key: str = _LIMIT) -> Iterator[Cut]:
        if not self._wants_limit(node, _LIMITS if key == _LIMIT else (key,)):
            return
        if node.flow_style:  # without a comment it could not be told from what was there
            self._say_limit(f"line {node.start_mark.line + 1}", key)
        else:
            yield self.document.add_key(node, {key: self.addition.max_body}, self.addition.label)

    def _wants_limit(self, node: MappingNode, keys: tuple[str, ...]) -> bool:
        """Whether a route, virtual host or listener still has to say how large requests may be."""
        if not self.addition.max_body:
            return False
        there = next((value for each in keys if (value := scalar(get(node, each)))), "")
        if there.isdigit() and int(there) < self.addition.max_body:
            self._say_limit(f"line {node.start_mark.line + 1} has {there}", keys[0])
        return not there

    def _say_limit(self, where: str, key: str = _LIMIT) -> None:
        if self.addition.max_body:
            self.notes.append(
                f"{where}: larger requests than its limit (Envoy's own: 1 MiB) are refused with 413; gateway.max_body is "
                f"{self.addition.max_body}: set {key}: {self.addition.max_body} there"
            )

    def _cautions(self, manager: Manager) -> None:
        if self.addition.label == "guard" and manager.upgrades and not self.addition.only:
            self.notes.append(
                f"listener {manager.listener} lets requests be upgraded ({', '.join(manager.upgrades)}): on guarded routes "
                "these are refused; leave such routes out with --except-route"
            )
        names, kinds = manager.filter_names, manager.filter_types
        at = index_of(manager.filters, self.addition.name)
        if at is None:
            at = place(kinds)
        else:
            del names[at], kinds[at]
        self.notes += cautions(self.addition.label, names, kinds, at)


# taking it out


def remove(text: str, label: str, filter_: str, cluster: str, name: str) -> str:
    """The text without what ``merge`` has added.

    Args:
        filter_: the filter's name.
        cluster: the cluster's.

    Raises:
        ConfigError: something is there that ``merge`` has not put there like this.
    """
    text = apply(text, list(block_cuts(text, label, name)))
    while filter_ in text or cluster in text:
        cut = _next_flow_cut(Document(text, name), filter_, cluster)
        if cut is None:
            break
        text = apply(text, [cut])
    return text


def _next_flow_cut(document: Document, filter_: str, cluster: str) -> Cut | None:
    """The first addition in flow style."""
    named = [(each.filters, filter_) for each in managers(document.root)]
    resources = get(document.root, "static_resources")
    for sequence, wanted in [*named, (get(resources, "clusters"), cluster)]:
        index = index_of(sequence, wanted)
        if index is not None and isinstance(sequence, SequenceNode):
            if isinstance(resources, MappingNode) and resources.flow_style and len(sequence.value) == 1:
                return document.flow_cut(resources, 0)  # the list was added, too
            return _flow_cut(document, sequence, index)
    for manager in managers(document.root):
        for route in routes(manager):
            found = get(route.node, _PER_ROUTE)
            if isinstance(found, MappingNode) and get(found, filter_) is not None:
                return _route_cut(document, route.node, found, filter_)
    return None


def _route_cut(document: Document, route: MappingNode, mapping: MappingNode, filter_: str) -> Cut:
    keys = [scalar(key) for key, _ in mapping.value]
    if len(keys) > 1 or not route.flow_style:
        return _flow_cut(document, mapping, keys.index(filter_))
    outer = [scalar(key) for key, _ in route.value]
    index = outer.index(_PER_ROUTE)
    return document.flow_cut(route, 0, index + 1) if outer[:index] == [_LIMIT] else _flow_cut(document, route, index)


def _flow_cut(document: Document, container: MappingNode | SequenceNode, index: int) -> Cut:
    if not container.flow_style:
        entry = container.value[index]
        node = entry[0] if isinstance(entry, tuple) else entry
        raise document.problem(
            node, "this was not added by `extproc render`, or its comments are gone: remove it by hand"
        )
    return document.flow_cut(container, index)


# trust, but verify


def _check(before: str, after: str, work: _Work, name: str) -> None:
    """What was done is what was meant, and no more.

    Raises:
        ConfigError: the text cannot be edited like this (aliases and merge keys can bring that about).
    """
    addition = work.addition
    document = Document(after, name)
    if not _only_ours(plain(work.document.root), plain(document.root), addition):
        raise _failed(name, "it would change something else")
    wanted = {each.listener for each in work.chosen} | {
        each.listener for each in work.all if index_of(each.filters, addition.name) is not None
    }
    got = {each.listener for each in managers(document.root) if index_of(each.filters, addition.name) is not None}
    if got != wanted:
        raise _failed(name, "listeners share what would have to differ")
    parts = (addition.label, addition.name, addition.cluster["name"], name)
    if remove(after, *parts) != remove(before, *parts):
        raise _failed(name, "it could not be taken out again exactly")


def _failed(name: str, why: str) -> ConfigError:
    message = f"{why}; nothing was written. Paste what `extproc render envoy` prints without --merge-into"
    return ConfigError([Problem(message, name)])


def _only_ours(before: Any, after: Any, addition: Addition) -> bool:
    """Whether nothing but additions of ours tells the two apart."""
    names = (addition.name, addition.cluster["name"])
    if isinstance(before, dict) and isinstance(after, dict):
        ours = {addition.name, _PER_ROUTE, _LIMIT, _CONNECTION, "clusters"}
        if not (set(before) <= set(after) and set(after) - set(before) <= ours):
            return False
        return all(_only_ours(value, after[key], addition) for key, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        kept, had = ([each for each in some if _name(each) not in names] for some in (after, before))
        return len(kept) == len(had) and all(_only_ours(*pair, addition) for pair in zip(had, kept, strict=True))
    return bool(before == after)


def _name(value: Any) -> str:
    found = value.get("name") if isinstance(value, dict) else None
    return str(found[1]) if isinstance(found, tuple) else ""
