"""Istio without Istio: what istiod does with an EnvoyFilter, and proxies as it configures them.

``applied`` follows the reference of EnvoyFilter and what istiod's own code was seen to do (1.28 to 1.31): listeners first,
then their filter chains and filters; routes by port, virtual host and name; clusters by service and port; ADD at the end.
MERGE is protobuf's: lists grow, entries of maps and single values are replaced. The proxies are small ones, with names
that Istio gives: its own filters (metadata exchange, stats) are stood for by a plain one of the same name.
"""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy.extensions.filters."
_MANAGER = "envoy.filters.network.http_connection_manager"
_MAPS = ("typed_extension_protocol_options", "typed_per_filter_config", "filter_metadata", "typed_filter_metadata")


# what istiod does


def applied(proxy: Json, *filters: Json) -> Json:
    """A proxy's configuration with EnvoyFilters applied; nothing is given back if they touch nothing."""
    found = copy.deepcopy(proxy)
    for each in sorted(filters, key=lambda one: one["spec"].get("priority", 0)):
        patches = each["spec"]["configPatches"]
        for listener in found["static_resources"]["listeners"]:
            context = (
                "GATEWAY" if listener["name"].startswith("gateway") else f"SIDECAR_{listener['traffic_direction']}"
            )
            context = "WAYPOINT" if listener["name"] == "main_internal" else context
            _listener(listener, [one for one in patches if one["match"]["context"] in (context, "ANY")])
        found["static_resources"]["clusters"] = _clusters(found["static_resources"], patches)
    return found


def _context(listener: Json) -> str:
    if listener["name"] == "main_internal":
        return "WAYPOINT"
    return "GATEWAY" if listener["name"].startswith("gateway") else f"SIDECAR_{listener['traffic_direction']}"


def _listener(listener: Json, patches: list[Json]) -> None:
    chains = [*listener.get("filter_chains", ()), *filter(None, [listener.get("default_filter_chain")])]
    for patch in patches:
        if (
            patch["applyTo"] == "LISTENER"
            and patch["patch"]["operation"] == "MERGE"
            and _is_port(listener, None, patch)
        ):
            merge(listener, patch["patch"]["value"])
    for chain in chains:
        for network in chain["filters"]:
            if network["name"] != _MANAGER:
                continue
            manager = network["typed_config"]
            for patch in patches:
                if patch["applyTo"] == "HTTP_FILTER" and _is_port(listener, chain, patch):
                    _http_filter(manager["http_filters"], patch)
            _routes(manager["route_config"], patches)


def _is_port(listener: Json, chain: Json | None, patch: Json) -> bool:
    match = patch["match"].get("listener") or patch["match"].get("waypoint") or {}
    wanted = match.get("portNumber")
    if match.get("name", listener["name"]) != listener["name"]:
        return False
    if not wanted:
        return True
    if chain and listener["name"] in ("virtualInbound", "virtualOutbound"):
        return chain.get("filter_chain_match", {}).get("destination_port") == wanted
    return listener["address"]["socket_address"]["port_value"] == wanted


def _http_filter(filters: list[Json], patch: Json) -> None:
    match = patch["match"].get("listener", {}).get("filterChain") or patch["match"].get("waypoint", {})
    beside = match["filter"].get("subFilter", {}).get("name")
    assert match["filter"]["name"] == _MANAGER
    value = copy.deepcopy(patch["patch"]["value"])
    names = [each["name"] for each in filters]
    operation = patch["patch"]["operation"]
    if operation == "INSERT_FIRST" or (operation == "INSERT_BEFORE" and not beside):
        filters.insert(0, value)
    elif operation == "INSERT_BEFORE":
        if beside in names:
            filters.insert(names.index(beside), value)
    else:
        raise NotImplementedError(operation)


def _routes(config: Json, patches: list[Json]) -> None:
    for patch in patches:
        match = patch["match"].get("routeConfiguration") or patch["match"].get("waypoint") or {}
        if patch["applyTo"] not in ("VIRTUAL_HOST", "HTTP_ROUTE") or not _is_route_config(config["name"], match):
            continue
        assert patch["patch"]["operation"] == "MERGE"
        vhost = match.get("vhost", {})
        for host in config["virtual_hosts"]:
            if vhost.get("name", host["name"]) != host["name"]:
                continue
            wanted = (vhost.get("route") or match.get("route") or {}).get("name")
            targets = [host] if patch["applyTo"] == "VIRTUAL_HOST" else host["routes"]
            for each in targets:
                if each is host or wanted in (None, each.get("name")):
                    merge(each, patch["patch"]["value"])


def _is_route_config(name: str, match: Json) -> bool:
    """Outbound route configurations are named by their port, inbound ones ``inbound|PORT||``, a gateway's ``http.PORT``."""
    wanted = match.get("portNumber")
    return not wanted or str(wanted) == name.removeprefix("inbound|").removeprefix("http.").partition("|")[0]


def _clusters(resources: Json, patches: list[Json]) -> list[Json]:
    found = resources["clusters"]
    contexts = (
        {"GATEWAY"}
        if resources["listeners"][0]["name"].startswith("gateway")
        else {"SIDECAR_OUTBOUND", "SIDECAR_INBOUND"}
    )
    contexts = {"WAYPOINT"} if resources["listeners"][0]["name"] == "main_internal" else contexts
    added = []
    for patch in patches:
        if patch["applyTo"] != "CLUSTER" or patch["match"]["context"] not in contexts:
            continue
        if patch["patch"]["operation"] == "ADD":
            added.append(copy.deepcopy(patch["patch"]["value"]))
        else:
            assert patch["patch"]["operation"] == "MERGE"
            for each in found:
                if _is_cluster(each["name"], patch["match"]):
                    merge(each, patch["patch"]["value"])
    return [*found, *added]


def _is_cluster(name: str, match: Json) -> bool:
    wanted = match.get("cluster")
    if not wanted:
        return True
    direction, port, _, host = name.split("|") if name.count("|") == 3 else ("", "", "", "")
    outbound = match["context"] in ("SIDECAR_OUTBOUND", "GATEWAY") and direction == "outbound"
    return outbound and (host, port) == (wanted["service"], str(wanted["portNumber"]))


def merge(into: Json, value: Json) -> None:
    """As protobuf merges messages, on their JSON."""
    for name, new in copy.deepcopy(value).items():
        if name in _MAPS:
            into.setdefault(name, {}).update(new)
        elif isinstance(new, dict) and isinstance(into.get(name), dict):
            merge(into[name], new)
        elif isinstance(new, list):
            into[name] = [*into.get(name, []), *new]
        else:
            into[name] = new


# proxies


def sidecar(
    ports: Json, upstream: int, processor: int, host: str = "llm-extproc.llm-extproc.svc.cluster.local"
) -> Json:
    """A sidecar's Envoy: what it sends to a provider and to a model in the mesh, and what comes in.

    Args:
        ports: of the listeners ``admin``, ``outbound`` and ``inbound``.
        upstream: port of the provider, and of the application behind the sidecar.
        processor: port of the processor, whose Service istiod knows.
        host: the Service's name.
    """
    names = ["istio.metadata_exchange", "istio.alpn", "fault", "cors", "istio.stats"]
    outbound = _routing("80", [
        _vhost("api.openai.com:80", ["api.openai.com", "api.openai.com:80"], "outbound|80||api.openai.com"),
        _vhost("vllm.ml.svc.cluster.local:80", ["vllm.ml"], "outbound|80||vllm.ml.svc.cluster.local"),
        _vhost("allow_any", ["*"], "PassthroughCluster"),
    ])  # fmt: skip
    inbound = _routing(
        f"inbound|{ports['inbound']}||", [_vhost(f"inbound|http|{ports['inbound']}", ["*"], "inbound|8000||")]
    )
    chain = {"name": f"0.0.0.0_{ports['inbound']}", "filter_chain_match": {"destination_port": ports["inbound"]}}
    return _bootstrap(
        ports["admin"],
        [
            _listener_of("0.0.0.0_80", ports["outbound"], "OUTBOUND", [{"filters": [_manager(names, outbound)]}]),
            _listener_of("virtualInbound", ports["inbound"], "INBOUND",
                         [{**chain, "filters": [_manager([*names[:1], "rbac", *names[2:]], inbound)]}]),
        ],
        [
            _cluster("outbound|80||api.openai.com", upstream),
            _cluster("outbound|80||vllm.ml.svc.cluster.local", upstream),
            _cluster("inbound|8000||", upstream),
            _cluster(f"outbound|18080||{host}", processor, http2=True),
            {"name": "PassthroughCluster", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "10s"},
            {"name": "BlackHoleCluster", "type": "STATIC", "connect_timeout": "10s"},
        ],
    )  # fmt: skip


def gateway(ports: Json, upstream: int, processor: int, *, waypoint: bool = False) -> Json:
    """An ingress gateway's Envoy, with the routes of a VirtualService; or something like a waypoint's."""
    names = ["istio.metadata_exchange", "cors", "fault", "istio.stats"]
    mesh = _cluster("outbound|18080||llm-extproc.llm-extproc.svc.cluster.local", processor, http2=True)
    chat = _route("chat", "/v1", "outbound|80||vllm.ml.svc.cluster.local")
    shop = _route("shop", "/", "outbound|80||vllm.ml.svc.cluster.local")
    hosts = [{"name": "llm.example.com:8080", "domains": ["*"], "routes": [chat, shop]}]
    routing = _routing("default" if waypoint else f"http.{ports['outbound']}", hosts)
    name = "main_internal" if waypoint else "gateway_0.0.0.0_8080"
    return _bootstrap(
        ports["admin"],
        [_listener_of(name, ports["outbound"], "OUTBOUND", [{"filters": [_manager(names, routing)]}])],
        [
            _cluster("outbound|80||vllm.ml.svc.cluster.local", upstream),
            *(() if waypoint else (mesh,)),
        ],
    )  # fmt: skip


def _bootstrap(admin: int, listeners: list[Json], clusters: list[Json]) -> Json:
    return {
        "node": {"id": "sidecar~10.0.0.1~shop.default~default.svc.cluster.local", "cluster": "shop.default"},
        "admin": {"address": _address(admin)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener_of(name: str, port: int, direction: str, chains: list[Json]) -> Json:
    return {"name": name, "address": _address(port), "traffic_direction": direction, "filter_chains": chains}


def _manager(names: list[str], routes: Json) -> Json:
    known = {
        "fault": "fault.v3.HTTPFault",
        "cors": "cors.v3.Cors",
        "rbac": "rbac.v3.RBAC",
        "router": "router.v3.Router",
    }
    plain = "header_to_metadata.v3.Config"
    filters = [
        {"name": f"envoy.filters.http.{each}" if each in known else each,
         "typed_config": {"@type": f"{_TYPE}http.{known.get(each, plain)}"}}
        for each in [*names, "router"]
    ]  # fmt: skip
    config = {
        "@type": f"{_TYPE}network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "proxy",
        "route_config": routes,
        "http_filters": filters,
        "stream_idle_timeout": "0s",
    }
    return {"name": _MANAGER, "typed_config": config}


def _routing(name: str, hosts: list[Json]) -> Json:
    return {"name": name, "virtual_hosts": hosts}


def _vhost(name: str, domains: list[str], cluster: str) -> Json:
    return {"name": name, "domains": domains, "routes": [_route("default", "/", cluster)]}


def _route(name: str, prefix: str, cluster: str) -> Json:
    return {"name": name, "match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": "0s"}}


def _cluster(name: str, port: int, *, http2: bool = False) -> Json:
    endpoint = {"endpoint": {"address": _address(port)}}
    found: Json = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "circuit_breakers": {"thresholds": [{"max_connections": 4294967295, "max_requests": 4294967295}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if http2:
        found["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 1073741824}},
            }
        }
    return found
