"""Clusters: one for each model group, with its backends as endpoints in priorities."""

from __future__ import annotations

from extproc.envoy import types, versions
from extproc.envoy.filters import upstream_filter
from extproc.envoy.layout import Layout
from extproc.envoy.types import Json, seconds, typed
from extproc.groups import Backend, Group
from extproc.runtime import Runtime

_PATIENCE = 15.0
"""Envoy's own timers come after the processor's, which can still tell the client what happened."""


def group_clusters(runtime: Runtime, layout: Layout) -> list[Json]:
    """One cluster a model group, and the one without endpoints (see the routes)."""
    return [*(_group_cluster(runtime, group, layout) for group in runtime.groups), _nowhere()]


def _nowhere() -> Json:
    return {"@type": types.CLUSTER, "name": types.NOWHERE_CLUSTER, "type": "STATIC", "connect_timeout": "1s"}


def _group_cluster(runtime: Runtime, group: Group, layout: Layout) -> Json:
    filters = [{"name": "envoy.filters.http.upstream_codec", "typed_config": typed(types.UPSTREAM_CODEC)}]
    if not group.only:
        filters.insert(0, upstream_filter(runtime.config))
    cluster: Json = {
        "@type": types.CLUSTER,
        "name": group.slug,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": versions.connection_buffer(layout.envoy, runtime.config.gateway.max_body),
        "load_assignment": {"cluster_name": group.slug, "endpoints": _localities(group)},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {
            "thresholds": [
                {
                    "priority": "DEFAULT",
                    "max_connections": 10000,
                    "max_pending_requests": 10000,
                    "max_requests": 10000,
                    "max_retries": 1000,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                types.HTTP_OPTIONS,
                common_http_protocol_options={"idle_timeout": "60s"},
                http_filters=filters,
                **_protocol(group),
            )
        },
    }
    if any(backend.tls for backend in group.backends):
        cluster["transport_socket_matches"] = _sockets(group, layout)
    if all(backend.tls for backend in group.backends):
        # never used, as every endpoint matches one above; but Envoy only negotiates HTTP/2 where this one could
        cluster["transport_socket"] = _tls(group.backends[0], layout)
    if len(group.abilities) > 1:  # requests that not all backends can serve
        cluster["lb_subset_config"] = {
            "fallback_policy": "ANY_ENDPOINT",
            "subset_selectors": [{"keys": ["serves"], "fallback_policy": "NO_FALLBACK"}],
            "list_as_any": True,
        }
    if len(group.backends) > 1:
        cluster["outlier_detection"] = {
            "consecutive_5xx": 5,
            "consecutive_local_origin_failure": 2,
            "split_external_local_origin_errors": True,
            "base_ejection_time": "10s",
            "max_ejection_percent": 50,
        }
    return cluster


def _protocol(group: Group) -> Json:
    if all(backend.tls for backend in group.backends):
        return {"auto_config": {"http_protocol_options": {}, "http2_protocol_options": {}}}
    return {"explicit_http_config": {"http_protocol_options": {}}}


def _localities(group: Group) -> list[Json]:
    if group.weights is not None:
        pairs = zip(group.backends, group.weights, strict=True)
        return [{"priority": 0, "lb_endpoints": [_lb_endpoint(group, backend, weight) for backend, weight in pairs]}]
    return [
        {"priority": priority, "lb_endpoints": [_lb_endpoint(group, backend, 1)]}
        for priority, backend in enumerate(group.backends)
    ]


def _lb_endpoint(group: Group, backend: Backend, weight: int) -> Json:
    return {
        "endpoint": {**types.address(backend.host, backend.port), "hostname": backend.host},
        "load_balancing_weight": weight,
        "metadata": {
            "filter_metadata": {
                "extproc": {"backend": backend.id},
                **({"envoy.lb": {"serves": group.subsets(backend)}} if len(group.abilities) > 1 else {}),
                "envoy.transport_socket_match": {"socket": _socket_name(backend)},
            }
        },
    }


def _socket_name(backend: Backend) -> str:
    return f"tls:{backend.host}" if backend.tls else "plain"


def _sockets(group: Group, layout: Layout) -> list[Json]:
    """One transport socket a host name: its own SNI, its own certificate check."""
    sockets: dict[str, Json] = {}
    for backend in group.backends:
        name = _socket_name(backend)
        sockets[name] = {
            "name": name,
            "match": {"socket": name},
            "transport_socket": _tls(backend, layout)
            if backend.tls
            else {"name": "envoy.transport_sockets.raw_buffer", "typed_config": typed(types.RAW_BUFFER)},
        }
    return list(sockets.values())


def _tls(backend: Backend, layout: Layout) -> Json:
    kind = "IP_ADDRESS" if backend.host.replace(".", "").isdigit() or ":" in backend.host else "DNS"
    context = typed(
        types.TLS_UP,
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "validation_context": {
                "trusted_ca": {"filename": layout.ca},
                "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": backend.host}}],
            },
        },
    )
    if kind == "DNS":
        context["sni"] = backend.host
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def timeouts(group: Group) -> Json:
    """The timeouts of a route to this group."""
    return {"timeout": seconds(group.timeout), "idle_timeout": seconds(group.idle_timeout + _PATIENCE)}
