"""Envoy Gateway without Envoy Gateway: the Envoy that comes of its policies, as its translator was seen to make it (1.9).

An ext_proc filter a policy, off in the chain and turned on by the routes of what the policy is attached to; headers are
sent where a phase is named, trailers with FULL_DUPLEX_STREAMED only; a gRPC timeout of ten seconds; no gRPC metadata.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
_BODIES = {"Buffered": "BUFFERED", "Streamed": "STREAMED", "FullDuplexStreamed": "FULL_DUPLEX_STREAMED"}


def gateway(ports: Json, upstream: int, processor: int, objects: list[Json]) -> Json:
    """A Gateway with two HTTPRoutes, ``chat`` for /v1 and ``other`` for the rest, and policies attached to them."""
    policies = [each for each in objects if each["kind"] == "EnvoyExtensionPolicy"]
    filters = [
        {"name": _name(each), "disabled": True, "typed_config": _filter(each["spec"]["extProc"][0])}
        for each in policies
    ]
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router"},
    }
    routes = [_route("chat", "/v1", policies), _route("other", "/", policies)]
    manager = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_filters": [*filters, router],
        "route_config": {"name": "eg", "virtual_hosts": [{"name": "eg", "domains": ["*"], "routes": routes}]},
    }
    listener = {
        "name": "default/eg/http",
        "address": _address(ports["outbound"]),
        "per_connection_buffer_limit_bytes": 32768,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    for each in objects:
        if each["kind"] == "ClientTrafficPolicy":
            listener["per_connection_buffer_limit_bytes"] = int(each["spec"]["connection"]["bufferLimit"])
    return {
        "admin": {"address": _address(ports["admin"])},
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster("app", upstream), _processor(processor, policies[0]["spec"]["extProc"][0])],
        },
    }


def _name(policy: Json) -> str:
    place = policy["metadata"]
    return f"envoy.filters.http.ext_proc/envoyextensionpolicy/{place['namespace']}/{place['name']}/extproc/0"


def _filter(wanted: Json) -> Json:
    modes: Json = {}
    told: Json = {}
    for phase in ("request", "response"):
        mode = wanted["processingMode"].get(phase)
        body = _BODIES[mode["body"]] if mode else "NONE"
        modes[f"{phase}_header_mode"] = "SEND" if mode else "SKIP"
        modes[f"{phase}_body_mode"] = body
        modes[f"{phase}_trailer_mode"] = "SEND" if body == "FULL_DUPLEX_STREAMED" else "SKIP"
        told[f"{phase}_attributes"] = mode.get("attributes", []) if mode else []
    found = {
        "@type": f"{_TYPE}extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "processor", "authority": "llm-extproc.llm-extproc:18080"},
            "timeout": "10s",
        },
        "processing_mode": modes,
        "failure_mode_allow": wanted.get("failOpen", False),
        "observability_mode": wanted.get("shadowMode", False),
        "metadata_options": {
            "forwarding_namespaces": {"untyped": wanted["metadata"].get("accessibleNamespaces", [])},
            "receiving_namespaces": {"untyped": wanted["metadata"].get("writableNamespaces", [])},
        },
        **told,
    }
    if "messageTimeout" in wanted:
        found["message_timeout"] = f"{int(wanted['messageTimeout'].removesuffix('ms')) / 1000}s"
    if "statusOnError" in wanted:
        found["status_on_error"] = {"code": wanted["statusOnError"]}
    return found


def _route(name: str, prefix: str, policies: list[Json]) -> Json:
    """Envoy Gateway names routes ``httproute/NAMESPACE/NAME/rule/N/match/N/HOST``."""
    on = {
        _name(each): {"@type": f"{_TYPE}config.route.v3.FilterConfig", "config": {}}
        for each in policies
        for target in each["spec"]["targetRefs"]
        if target["kind"] == "Gateway" or target["name"] == name
    }
    found: Json = {
        "name": f"httproute/default/{name}/rule/0/match/0/*",
        "match": {"prefix": prefix},
        "route": {"cluster": "app"},
    }
    return {**found, **({"typed_per_filter_config": on} if on else {})}


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _processor(port: int, wanted: Json) -> Json:
    """The processor's cluster, with the policy's settings for it."""
    settings = wanted["backendSettings"]
    asked, http2 = settings["healthCheck"]["active"], settings["http2"]
    check = {
        "timeout": asked["timeout"],
        "interval": asked["interval"],
        "unhealthy_threshold": asked["unhealthyThreshold"],
        "healthy_threshold": asked["healthyThreshold"],
        "grpc_health_check": {"service_name": asked["grpc"]["service"]},
    }
    options = {
        "initial_stream_window_size": int(http2["initialStreamWindowSize"]),
        "initial_connection_window_size": int(http2["initialConnectionWindowSize"]),
        **({"connection_keepalive": http2["connectionKeepalive"]} if "connectionKeepalive" in http2 else {}),
    }
    breaker = settings["circuitBreaker"]
    most = {"max_requests": breaker["maxParallelRequests"], "max_pending_requests": breaker["maxPendingRequests"]}
    return _cluster("processor", port) | {
        "connect_timeout": settings["timeout"]["tcp"]["connectTimeout"],
        "common_lb_config": {"healthy_panic_threshold": {"value": settings["healthCheck"]["panicThreshold"]}},
        "health_checks": [check],
        "circuit_breakers": {"thresholds": [most]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": options},
            }
        },
    }


def _cluster(name: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
