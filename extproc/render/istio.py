"""``extproc render istio``: an EnvoyFilter that puts the guard (or the shadow) into sidecars, gateways or a waypoint.

One object: deleting it takes everything out again. Stands on: Istio's EnvoyFilter reference and CRD (1.28 to 1.31).

Where the processor is: istiod already has a cluster for its Service, with the pods behind it and mutual TLS between mesh
identities; the filter uses that one, and the patch adds what we need of it. Should istiod leave it out somewhere (a
Sidecar resource without the processor's namespace), the filter finds no cluster and fails closed. A waypoint has no such
cluster, and an address that is named has none either: there the patch adds one of our own.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Final

from extproc.envoy import types, versions
from extproc.envoy.filters import guard_filter
from extproc.envoy.processor import Processor, processor_cluster
from extproc.envoy.types import Json, typed
from extproc.errors import StartupError
from extproc.render import place
from extproc.render.place import PORT, Place, named, place_of, selector
from extproc.render.target import Files, Target, Variant, Wanted, documents

_PLACES: Final = {
    "outbound": "SIDECAR_OUTBOUND",
    "inbound": "SIDECAR_INBOUND",
    "gateway": "GATEWAY",
    "waypoint": "WAYPOINT",
}
_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_ROUTER: Final = "envoy.filters.http.router"
_PER_ROUTE: Final = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"
_FIRST_MINOR: Final = 28
_ENVOY_IS: Final = 8
"""Istio 1.N carries Envoy 1.(N + 8): "tend to map one to one", says istio.io, and 1.16 to 1.31 do."""
_OLDEST: Final = ".".join(map(str, versions.OLDEST))
"""What it has to work with where nobody says which Istio it is."""
_LAST: Final = {Variant.GUARD: 10, Variant.SHADOW: 20}
"""Of all patches ours come last, so that it is our filters that stand next to the router. The shadow's come after the
guard's: where both share istiod's cluster, the shadow's impatience with a processor that hangs has to hold."""

_HEAD: Final = """\
# Made by `extproc render istio`. Deleting this one object takes it out again.
"""
_UNCERTAIN: Final = """\
# CAUTION: Istio documents no EnvoyFilter for waypoints (in 1.31 the API has the context WAYPOINT, hidden from its
# documentation; 1.28 and earlier have not even that). See docs/attach-istio.md, and make sure with `extproc attest`.
"""


@dataclass(frozen=True, slots=True)
class _Where:
    """Which proxies, and what of theirs. ``routes`` and ``hosts`` empty: everything."""

    context: str
    namespace: str
    gateway: str
    labels: dict[str, str]
    port: int
    routes: tuple[str, ...]
    hosts: tuple[str, ...]

    @property
    def waypoint(self) -> bool:
        return self.context == "WAYPOINT"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The target's own options."""
    place.arguments(parser)
    add = parser.add_argument
    add(
        "--at", choices=list(_PLACES), default="outbound",
        help="what sidecars send (outbound) or get (inbound), an ingress or egress gateway, a waypoint (outbound)",
    )  # fmt: skip
    add("--namespace", metavar="NAMESPACE", default="default", help="of these workloads or this gateway (default)")
    add(
        "--selector", action="append", default=[], metavar="LABEL=VALUE",
        help="only workloads with this label (several times for several)",
    )  # fmt: skip
    add("--gateway", metavar="NAME", help="name of the Gateway (of Gateway API) that made the gateway or waypoint")
    add("--port", type=int, default=0, metavar="PORT", help="only this port")
    add(
        "--route", action="append", default=[], metavar="NAME",
        help="only routes of this name (http[].name of a VirtualService); policies know it by this name, too",
    )  # fmt: skip
    add("--host", action="append", default=[], metavar="HOST:PORT", help="only this virtual host")
    add("--first", action="store_true", help="first of all filters instead of last before the router")
    add(
        "--istio",
        metavar="VERSION",
        help="Istio's version: says what to mind, and spares connections larger buffers from 1.29 on",
    )


def render(wanted: Wanted) -> Files:
    """One file."""
    found = objects(wanted)
    head = _HEAD + (_UNCERTAIN if wanted.options.at == "waypoint" else "")
    return documents(found, head)


def objects(wanted: Wanted) -> list[Json]:
    """The EnvoyFilter.

    Raises:
        StartupError: options that make no sense together, or an Istio that cannot carry us.
    """
    options = wanted.options
    if options.istio:
        _check(options.istio, wanted.variant, waypoint=options.at == "waypoint")
    where = _where(options)
    processor = place_of(options)
    own = bool(options.processor) or where.waypoint
    shadow = wanted.variant is Variant.SHADOW
    filter_ = guard_filter(wanted.runtime.config, shadow=shadow)
    # of its own in each place, so that objects for several do not add one cluster twice, which Envoy refuses
    name = f"{types.SHADOW_CLUSTER if shadow else types.GUARD_CLUSTER}_{options.at}"
    grpc = filter_["typed_config"]["grpc_service"]["envoy_grpc"]
    grpc["cluster_name"] = name if own else f"outbound|{PORT}||{processor.host}"
    patches = [_filter(where, filter_, first=options.first)]
    if not shadow:
        patches += _body_limits(where, wanted.runtime.config.gateway.max_body, options.istio)
    patches += _enabled(where, filter_["name"])
    cluster = processor_cluster(_processor(wanted, processor), types.SHADOW_CLUSTER if shadow else types.GUARD_CLUSTER)
    patches.append(_own_cluster(where, {**cluster, "name": name}) if own else _mesh_cluster(where, processor, cluster))
    return [_object(where, wanted.variant, f"{processor.name}-{'shadow' if shadow else 'guard'}-{options.at}", patches)]


def _where(options: argparse.Namespace) -> _Where:
    labels = selector(options.selector, "--selector")
    if options.at == "waypoint" and (labels or not options.gateway):
        raise StartupError("a waypoint is named by its Gateway: --gateway NAME, not --selector")
    if options.gateway and options.at not in ("gateway", "waypoint"):
        raise StartupError("--gateway is for --at gateway and --at waypoint")
    if options.gateway and labels:
        raise StartupError("either --gateway or --selector: an EnvoyFilter takes one of them")
    if options.at == "waypoint" and options.host:
        raise StartupError("--host: virtual hosts of waypoints cannot be told apart; use --route or --port")
    if not 0 <= options.port < 65536:
        raise StartupError(f"--port {options.port} is no port")
    return _Where(
        _PLACES[options.at],
        named(options.namespace, "--namespace"),
        named(options.gateway, "--gateway") if options.gateway else "",
        labels,
        options.port,
        tuple(options.route),
        tuple(options.host),
    )


def _processor(wanted: Wanted, processor: Place) -> Processor:
    """Where a cluster of our own would find it."""
    if wanted.options.processor:
        return wanted.processor
    return Processor((f"{processor.pods}:{PORT}",), wanted.processor.tls)


def _object(where: _Where, variant: Variant, name: str, patches: list[Json]) -> Json:
    spec: Json = {"priority": _LAST[variant]}
    if where.gateway:
        target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": where.gateway}
        spec["targetRefs"] = [target]
    elif where.labels:
        spec["workloadSelector"] = {"labels": where.labels}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": where.namespace},
        "spec": {**spec, "configPatches": patches},
    }


# one patch each


def _filter(where: _Where, filter_: Json, *, first: bool) -> Json:
    """The filter; where only some routes are meant, it is off until they turn it on."""
    value = {"name": filter_["name"], **({"disabled": True} if where.routes or where.hosts else {}), **filter_}
    port = {"portNumber": where.port} if where.port else {}
    place_: Json = {"name": _MANAGER, "subFilter": {"name": _ROUTER}}
    match: Json = {"waypoint": {**port, "filter": place_}} if where.waypoint else {
        "listener": {**port, "filterChain": {"filter": place_}}
    }  # fmt: skip
    return _patch("HTTP_FILTER", where, match, "INSERT_FIRST" if first else "INSERT_BEFORE", value)


def _body_limits(where: _Where, most: int, istio: str | None) -> list[Json]:
    """Requests are collected whole. Where routes can say how large (Envoy 1.37), connections keep their small buffers."""
    routes = _patch("VIRTUAL_HOST", where, _routes(where), "MERGE", {"request_body_buffer_limit": most})
    buffer = versions.connection_buffer(envoy_of(istio) if istio else _OLDEST, most)
    if buffer == types.BUFFER:
        return [routes]
    match: Json = {"waypoint": {}} if where.waypoint else {}
    if where.context == "SIDECAR_INBOUND":
        match = {"listener": {"name": "virtualInbound"}}  # one for all ports: they are in its filter chains
    elif where.port and not where.waypoint:
        match = {"listener": {"portNumber": where.port}}
    return [_patch("LISTENER", where, match, "MERGE", {"per_connection_buffer_limit_bytes": buffer}), routes]


def _enabled(where: _Where, filter_: str) -> list[Json]:
    """Turn the filter on for the routes and hosts that were named."""
    found = []
    for host in where.hosts or ((None,) if where.routes else ()):
        for route in where.routes or (None,):
            match = _routes(where, host, route)
            overrides: Json = {"overrides": {"grpc_initial_metadata": [{"key": "x-llm-route", "value": route}]}}
            config = typed(_PER_ROUTE, **overrides) if route else typed(types.FILTER_CONFIG, config={})
            kind = "HTTP_ROUTE" if route else "VIRTUAL_HOST"
            found.append(_patch(kind, where, match, "MERGE", {"typed_per_filter_config": {filter_: config}}))
    return found


def _routes(where: _Where, host: str | None = None, route: str | None = None) -> Json:
    port = {"portNumber": where.port} if where.port else {}
    named_ = {"route": {"name": route}} if route else {}
    if where.waypoint:
        return {"waypoint": {**port, **named_}}
    vhost = {**({"name": host} if host else {}), **named_}
    found = {**port, **({"vhost": vhost} if vhost else {})}
    return {"routeConfiguration": found} if found else {}


def _own_cluster(where: _Where, cluster: Json) -> Json:
    cluster["load_assignment"]["cluster_name"] = cluster["name"]
    return _patch("CLUSTER", where, {"waypoint": {}} if where.waypoint else {}, "ADD", cluster)


def _mesh_cluster(where: _Where, processor: Place, cluster: Json) -> Json:
    """What istiod's cluster for the processor lacks.

    Less patience with pods that are gone or hang, and small windows, which hold a provider back whose answers are not read.
    Its pods, its circuit breakers and its mutual TLS stay istiod's. No lists (health checks are one): a second object for
    the same proxy would make them longer, and the cluster one that Envoy refuses.
    """
    wanted = ("connect_timeout", "common_lb_config", "outlier_detection", "typed_extension_protocol_options")
    value = {name: cluster[name] for name in wanted}
    match = {"cluster": {"service": processor.host, "portNumber": PORT}}
    # whatever the filter looks at, the processor is somewhere that a sidecar sends to
    context = "SIDECAR_OUTBOUND" if where.context == "SIDECAR_INBOUND" else where.context
    return {**_patch("CLUSTER", where, match, "MERGE", value), "match": {"context": context, **match}}


def _patch(apply: str, where: _Where, match: Json, operation: str, value: Json) -> Json:
    return {
        "applyTo": apply,
        "match": {"context": where.context, **match},
        "patch": {"operation": operation, "value": value},
    }


# versions


def envoy_of(istio: str) -> str:
    """The version of Envoy that a version of Istio carries, for example 1.36 for 1.28.3.

    Raises:
        StartupError: not a version of Istio.
    """
    major, _, rest = istio.removeprefix("v").partition(".")
    minor = rest.split(".")[0]
    if major != "1" or not minor.isdigit():
        raise StartupError(f"--istio {istio}: say it as 1.29 or 1.29.2")
    return f"1.{int(minor) + _ENVOY_IS}"


def _check(istio: str, variant: Variant, *, waypoint: bool) -> None:
    envoy = envoy_of(istio)
    minor = int(envoy.partition(".")[2]) - _ENVOY_IS
    if minor < _FIRST_MINOR:
        raise StartupError(
            f"Istio {istio} carries Envoy {envoy}; streams can be guarded from Envoy 1.36 on: Istio 1.{_FIRST_MINOR}"
        )
    if waypoint and minor == _FIRST_MINOR:
        raise StartupError(f"Istio {istio} takes no EnvoyFilter for waypoints; the API for it begins with 1.29")
    print(f"Istio {istio} carries Envoy {envoy}", file=sys.stderr)
    for sentence in versions.cautions(envoy, [versions.SHADOW if variant is Variant.SHADOW else versions.GUARD]):
        print(f"warning: {sentence}", file=sys.stderr)


TARGET: Final = Target(
    "Istio: an EnvoyFilter for sidecars, gateways or a waypoint",
    render,
    arguments,
    frozenset({Variant.GUARD, Variant.SHADOW}),
)
