"""The places of an Envoy bootstrap that matter here: connection managers, routes, clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, SequenceNode

from extproc.envoy import types
from extproc.render.edit import get, items, scalar


@dataclass(frozen=True, slots=True, eq=False)
class Manager:
    """An HTTP connection manager, the name of its listener, and this."""

    listener: str
    node: Node
    whole: Node

    @property
    def filters(self) -> Node | None:
        """Its list of HTTP filters."""
        return get(self.node, "http_filters")

    @property
    def filter_names(self) -> list[str]:
        """What they are called."""
        return [scalar(get(each, "name")) or "a filter without a name" for each in items(self.filters)]

    @property
    def filter_types(self) -> list[str]:
        """What they are."""
        return [scalar(get(each, "typed_config", "@type")) for each in items(self.filters)]

    @property
    def hosts(self) -> list[Node]:
        """Its virtual hosts; none where routes come from elsewhere."""
        return items(get(self.node, "route_config", "virtual_hosts"))

    @property
    def elsewhere(self) -> bool:
        """Whether its routes come from somewhere else."""
        return get(self.node, "route_config") is None

    @property
    def upgrades(self) -> list[str]:
        """Protocols that requests may be upgraded to."""
        return [scalar(get(each, "upgrade_type")) for each in items(get(self.node, "upgrade_configs"))]


def managers(root: Node | None) -> Iterator[Manager]:
    """Every HTTP connection manager, each once however many aliases lead to it."""
    seen = set()
    for listener in items(get(root, "static_resources", "listeners")):
        chains = [*items(get(listener, "filter_chains")), get(listener, "default_filter_chain")]
        nodes = [get(each, "typed_config") for chain in chains for each in items(get(chain, "filters"))]
        for node in [*nodes, get(listener, "api_listener", "api_listener")]:
            if node and scalar(get(node, "@type")) == types.HTTP_MANAGER and id(node) not in seen:
                seen.add(id(node))
                yield Manager(scalar(get(listener, "name")), node, listener)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A route of a connection manager, with what one can call it by: its name, or what its path has to be."""

    host: str
    node: MappingNode

    @property
    def calls(self) -> list[str]:
        """The ways to name it."""
        match = get(self.node, "match")
        paths = (scalar(get(match, key)) for key in ("prefix", "path", "path_separated_prefix"))
        alone = [each for each in (scalar(get(self.node, "name")), *paths) if each]
        return [*alone, *(f"{self.host}:{each}" for each in alone)]


def routes(manager: Manager) -> Iterator[Route]:
    """Of all its virtual hosts, in their order."""
    for host in manager.hosts:
        for each in items(get(host, "routes")):
            if isinstance(each, MappingNode):
                yield Route(scalar(get(host, "name")), each)


def clusters(root: Node | None) -> dict[str, Node]:
    """By name."""
    return {scalar(get(each, "name")): each for each in items(get(root, "static_resources", "clusters"))}


def index_of(sequence: Node | None, name: str) -> int | None:
    """Where in a list the thing with this name stands."""
    names = [scalar(get(each, "name")) for each in items(sequence)]
    return names.index(name) if name in names and isinstance(sequence, SequenceNode) else None
