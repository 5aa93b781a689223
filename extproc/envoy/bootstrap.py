"""The bootstrap: listeners, the processor's cluster, limits. What changes with models and providers is in files of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from extproc.config.model import Config
from extproc.envoy import clusters, routes, types, versions
from extproc.envoy.filters import router_filter
from extproc.envoy.layout import Layout
from extproc.envoy.processor import Processor, processor_cluster
from extproc.envoy.types import Json, typed
from extproc.exchange.outgoing import USAGE
from extproc.exchange.replies import VERDICTS
from extproc.runtime import Runtime

_HEAP = 2 << 30


def bootstrap(runtime: Runtime, layout: Layout) -> Json:
    """Envoy's own file."""
    config = runtime.config
    gateway = config.gateway
    listeners = [_listener("main", gateway.address, gateway.port, config, layout, tls=gateway.tls != "none")]
    if gateway.plain_port is not None and gateway.tls != "none":
        listeners.append(_listener("plain", "127.0.0.1", gateway.plain_port, config, layout, tls=False))
    return {
        "node": {"id": "llm-extproc", "cluster": "llm-extproc"},
        "admin": types.address("127.0.0.1", gateway.admin_port),
        "static_resources": {"listeners": listeners, "clusters": [processor_cluster(Processor(layout.processors))]},
        "dynamic_resources": {"cds_config": _watched(layout.clusters, layout)},
        "overload_manager": _overload(),
        # what a burst took is given back, a little every second; Envoy's own default is to keep it
        "memory_allocator_manager": {"bytes_to_release": 16 << 20, "memory_release_interval": "0.5s"},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"envoy": {"reloadable_features": {}}}}]},
    }


def write(runtime: Runtime, layout: Layout) -> None:
    """Write all files Envoy reads; those it watches by rename, clusters before routes."""
    layout.xds.mkdir(parents=True, exist_ok=True)
    replace(layout.clusters, resources(clusters.group_clusters(runtime, layout), runtime.generation))
    replace(layout.routes, resources([routes.route_config(runtime)], runtime.generation))
    replace(layout.bootstrap, bootstrap(runtime, layout))


def resources(found: list[Json], generation: int) -> Json:
    """A file of xDS resources."""
    return {"version_info": str(generation), "resources": found}


def replace(path: Path, value: Json) -> None:
    """Write a file so that nobody ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(yaml.safe_dump(value, sort_keys=False, width=120), "utf-8")
    temporary.replace(path)


def _watched(path: Path, layout: Layout) -> Json:
    return {
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(layout.xds)}},
        "resource_api_version": "V3",
    }


def _listener(name: str, host: str, port: int, config: Config, layout: Layout, *, tls: bool) -> Json:
    chain: Json = {
        "filters": [
            {
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": _manager(name, config, layout),
            }
        ]
    }
    if tls:
        chain["transport_socket"] = _downstream_tls(layout)
    return {
        "name": name,
        **types.address(host, port),
        "per_connection_buffer_limit_bytes": versions.connection_buffer(layout.envoy, config.gateway.max_body),
        "enable_reuse_port": False,  # with it, another process could listen on the same port, and get half of the clients
        # of one socket, the thread that wakes first would take most
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [chain],
    }


def _downstream_tls(layout: Layout) -> Json:
    certificate = {"certificate_chain": {"filename": str(layout.cert)}, "private_key": {"filename": str(layout.key)}}
    common = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [certificate],
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(types.TLS_DOWN, common_tls_context=common)}


def _manager(name: str, config: Config, layout: Layout) -> Json:
    return typed(
        types.HTTP_MANAGER,
        stat_prefix=name,
        codec_type="AUTO",
        use_remote_address=True,
        xff_num_trusted_hops=config.gateway.trusted_hops,
        generate_request_id=True,
        preserve_external_request_id=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",  # models of Bedrock may have them; other paths are exact
        server_name="llm-extproc",
        server_header_transformation="PASS_THROUGH",
        # our 400s must not close an HTTP/1 client's connection
        http_protocol_options={"override_stream_error_on_invalid_http_message": True},
        http2_protocol_options={
            "max_concurrent_streams": 1024,
            "initial_stream_window_size": 1 << 20,
            "initial_connection_window_size": 8 << 20,
            "override_stream_error_on_invalid_http_message": True,
        },
        common_http_protocol_options={"idle_timeout": "3600s", "headers_with_underscores_action": "DROP_HEADER"},
        request_headers_timeout="30s",
        request_timeout="120s",
        stream_idle_timeout="300s",
        access_log=[_access_log()],
        local_reply_config=_local_replies(),
        rds={"route_config_name": types.ROUTE_CONFIG, "config_source": _watched(layout.routes, layout)},
        http_filters=[
            {"name": "envoy.filters.http.cors", "typed_config": typed(types.CORS)},
            router_filter(config),
            {
                "name": "envoy.filters.http.router",
                "typed_config": typed(types.ROUTER, suppress_envoy_headers=True),
            },
        ],
    )


def _access_log() -> Json:
    """How the exchange really ended, which the processor cannot know, and what it came to.

    No query strings: they may hold keys.
    """
    fields: dict[str, Any] = {
        "time": "%START_TIME%",
        "event": "access",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "upstream": "%UPSTREAM_HOST%",
        "protocol": "%PROTOCOL%",
        "verdicts": f"%DYNAMIC_METADATA({VERDICTS})%",
        "usage": f"%DYNAMIC_METADATA({USAGE})%",
    }
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": typed(types.FILE_LOG, log_format={"json_format": fields}),
    }


_ERRORS = {
    400: ("bad_request", "The request is not valid HTTP for this gateway.", "invalid_request_error"),
    404: ("unknown_operation", "There is no such operation here.", "invalid_request_error"),
    408: ("timeout", "The request took too long to arrive.", "invalid_request_error"),
    413: ("too_large", "The request is larger than this gateway accepts.", "invalid_request_error"),
    431: ("headers_too_large", "The request's headers are larger than this gateway accepts.", "invalid_request_error"),
    503: ("undecided", "The gateway could not decide about this request.", "api_error"),
    504: ("processor_timeout", "The gateway could not inspect this exchange in time.", "api_error"),
}


_LOCAL_HEADERS = [
    {"header": {"key": name, "value": "%REQ(X-REQUEST-ID)%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    for name in ("x-request-id", "x-llm-request-id")
]


_RETRY_SOON = {"header": {"key": "retry-after", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
_FAILED = ("processor_failed", "The gateway could not inspect this exchange; another attempt may succeed.", "api_error")


def _local_replies() -> Json:
    """Envoy's own errors in the client's format. Ours are recognised by their details and stay as they are."""
    ours = _cel("!response.code_details.startsWith('llm_') && response.code_details != 'via_upstream'")
    failed = _cel("response.code_details.startsWith('ext_proc')")
    mappers = [
        {
            "filter": {"and_filter": {"filters": [failed, _status(503)]}},
            "headers_to_add": [*_LOCAL_HEADERS, _RETRY_SOON],
            "body_format_override": _error_format(*_FAILED),
        }
    ]
    mappers += [
        {
            "filter": {"and_filter": {"filters": [ours, _status(status)]}},
            "headers_to_add": _LOCAL_HEADERS,
            "body_format_override": _error_format(*error),
        }
        for status, error in _ERRORS.items()
    ]
    silent = _cel("response.code_details == 'stream_idle_timeout' || response.code_details.startsWith('upstream_')")
    late = {  # a provider that fell silent before anything of its answer had left
        "filter": {"and_filter": {"filters": [silent, _status(504)]}},
        "headers_to_add": _LOCAL_HEADERS,
        "body_format_override": _error_format(
            "upstream_timeout", "The backend for this model did not answer in time.", "api_error"
        ),
    }
    other = _error_format("gateway_error", "The gateway could not pass this request on.", "api_error")
    rest = {"filter": ours, "headers_to_add": _LOCAL_HEADERS, "body_format_override": other}
    return {"mappers": [late, *mappers, rest]}


def _cel(expression: str) -> Json:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": typed(types.CEL_FILTER, expression=expression),
        }
    }


def _status(status: int) -> Json:
    value = {"default_value": status, "runtime_key": "extproc.none"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _error_format(code: str, message: str, kind: str) -> Json:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return {"json_format": {"error": error}, "content_type": "application/json"}


def _overload() -> Json:
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.fixed_heap",
                "typed_config": typed(types.FIXED_HEAP, max_heap_size_bytes=_HEAP),
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": typed(types.CONNECTIONS, max_active_downstream_connections=20000),
            },
        ],
        "actions": [
            _overload_action("envoy.overload_actions.shrink_heap", 0.9),
            _overload_action("envoy.overload_actions.stop_accepting_requests", 0.95),
        ],
    }


def _overload_action(name: str, threshold: float) -> Json:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}
    return {"name": name, "triggers": [trigger]}
