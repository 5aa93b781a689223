"""The names of Envoy's extension types, and the few shapes that every part of its configuration needs."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

BUFFER: Final = 1 << 17
"""What Envoy buffers of a connection before it stops reading. Request bodies are collected beyond it (see the routes)."""

_TYPE: Final = "type.googleapis.com/"

HTTP_MANAGER: Final = f"{_TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
EXT_PROC: Final = f"{_TYPE}envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"
FILTER_CONFIG: Final = f"{_TYPE}envoy.config.route.v3.FilterConfig"
CORS: Final = f"{_TYPE}envoy.extensions.filters.http.cors.v3.Cors"
CORS_POLICY: Final = f"{_TYPE}envoy.extensions.filters.http.cors.v3.CorsPolicy"
ROUTER: Final = f"{_TYPE}envoy.extensions.filters.http.router.v3.Router"
UPSTREAM_CODEC: Final = f"{_TYPE}envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
HTTP_OPTIONS: Final = f"{_TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TLS_DOWN: Final = f"{_TYPE}envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
TLS_UP: Final = f"{_TYPE}envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
RAW_BUFFER: Final = f"{_TYPE}envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
PREVIOUS_PRIORITIES: Final = f"{_TYPE}envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
PREVIOUS_HOSTS: Final = f"{_TYPE}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
FILE_LOG: Final = f"{_TYPE}envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
CEL_FILTER: Final = f"{_TYPE}envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
CLUSTER: Final = f"{_TYPE}envoy.config.cluster.v3.Cluster"
ROUTES: Final = f"{_TYPE}envoy.config.route.v3.RouteConfiguration"
FIXED_HEAP: Final = f"{_TYPE}envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig"
CONNECTIONS: Final = f"{_TYPE}envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"

PROCESSOR_CLUSTER: Final = "extproc"
NOWHERE_CLUSTER: Final = "nowhere"
ROUTER_FILTER: Final = "llm.extproc.router"
UPSTREAM_FILTER: Final = "llm.extproc.upstream"
GUARD_FILTER: Final = "llm.extproc.guard"
SHADOW_FILTER: Final = "llm.extproc.shadow"
GUARD_CLUSTER: Final = "llm_extproc"
SHADOW_CLUSTER: Final = "llm_extproc_shadow"
"""Guard and shadow may stand in one Envoy, each with a cluster of its own: what bounds the shadow must not bound the guard."""
ROUTE_CONFIG: Final = "llm"


def typed(type_: str, **values: Any) -> Json:
    """A typed_config."""
    return {"@type": type_, **values}


def seconds(value: float) -> str:
    """A duration as Envoy writes it."""
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


def address(host: str, port: int) -> Json:
    """A TCP address."""
    return {"address": {"socket_address": {"address": host, "port_value": port}}}
