"""Where Envoy finds the processor, and the cluster that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from extproc.envoy import types
from extproc.envoy.types import Json, typed
from extproc.errors import StartupError
from extproc.wire import SERVICE

_WINDOW: Final = 65536
"""A processor that stops reading stops the provider after this much, instead of 17 MB a stream."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How Envoy and the processor prove themselves to each other: paths (PEM) as Envoy sees them.

    ``name`` is what the processor's certificate has to say (a DNS name, or a URI such as ``spiffe://…``).
    """

    ca: str
    cert: str
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Processor:
    """The workers' addresses (absolute socket paths, or HOST:PORT), and TLS where there is any."""

    addresses: tuple[str, ...]
    tls: Tls | None = None


def parse_address(text: str) -> str:
    """``unix:PATH`` or ``HOST:PORT`` as ``Processor`` has it.

    Raises:
        StartupError: it is neither.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise StartupError(f"'{text}': the socket's path has to be absolute, as Envoy sees it (unix:/…)")
        return path
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in text:
        raise StartupError(f"'{text}' is no address of a processor: unix:/PATH or HOST:PORT")
    return text


_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


_OUTLIERS: Final[Json] = {
    "consecutive_local_origin_failure": 1,
    "split_external_local_origin_errors": True,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
    "interval": "0.5s",
    "base_ejection_time": "1s",
    "max_ejection_time": "5s",
    "max_ejection_percent": 100,
}
"""A worker whose connection fails gets nothing for a second; what it answers is no reason."""


def processor_cluster(processor: Processor, name: str = types.PROCESSOR_CLUSTER) -> Json:
    """The workers, one endpoint each; LEAST_REQUEST spreads streams where SO_REUSEPORT would not.

    Args:
        name: guard and shadow have clusters of their own, which differ.
    """
    addresses = processor.addresses
    cluster: Json = {
        "name": name,
        "type": "STRICT_DNS" if any(not each.startswith("/") for each in addresses) else "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": _endpoint(each)} for each in addresses]}],
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # a worker that died is found by its refused connection, one that stands still only by asking it
        "health_checks": [
            {
                # busy is not dead; and where there is no other worker, nothing is gained by giving this one up early
                "timeout": "1s" if len(addresses) > 1 else "2s",
                "interval": "0.5s",
                "no_traffic_interval": "0.5s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {"service_name": SERVICE},
            }
        ],
        "outlier_detection": dict(_OUTLIERS),
        "circuit_breakers": {
            "thresholds": [{"max_requests": 100000, "max_pending_requests": 100000, "max_retries": 1000}]
        },
        "typed_extension_protocol_options": {
            _OPTIONS: typed(
                types.HTTP_OPTIONS,
                explicit_http_config={
                    "http2_protocol_options": {
                        "initial_stream_window_size": _WINDOW,
                        "initial_connection_window_size": 16 * _WINDOW,
                    }
                },
            )
        },
    }
    if processor.tls:
        cluster["transport_socket"] = _mutual(processor.tls)
    if name == types.GUARD_CLUSTER:
        _guard(cluster)
    elif name == types.SHADOW_CLUSTER:
        _shadow(cluster)
    return cluster


def _guard(cluster: Json) -> None:
    """A processor on a machine that is gone answers no ping; without one, exchanges would hang."""
    _http2(cluster)["connection_keepalive"] = {"interval": "5s", "timeout": "5s"}


_SHADOWED: Final = 4096
_SHADOW_WINDOW: Final = 256 << 10


def _shadow(cluster: Json) -> None:
    """It must never hurt: not by waiting, and not by what Envoy keeps for it.

    Even in observability mode a processor that does not read holds bodies up once ``_SHADOW_WINDOW`` is full (Envoy 1.40:
    10 MB answers hung for good). Its connection is closed as soon as it does not answer a ping, which frees them; and Envoy
    keeps no more than a window for each of so many exchanges. Those beyond are not seen; ``upstream_rq_pending_overflow``
    counts them.
    """
    cluster["circuit_breakers"]["thresholds"] = [{"max_requests": _SHADOWED, "max_pending_requests": _SHADOWED}]
    http2 = _http2(cluster)
    http2["initial_stream_window_size"] = _SHADOW_WINDOW
    http2["connection_keepalive"] = {"interval": "1s", "timeout": "2s"}


def _http2(cluster: Json) -> Json:
    options: Json = cluster["typed_extension_protocol_options"][_OPTIONS]["explicit_http_config"][
        "http2_protocol_options"
    ]
    return options


def _endpoint(processor: str) -> Json:
    if processor.startswith("/"):
        return {"address": {"pipe": {"path": processor}}}
    host, _, port = processor.rpartition(":")
    return types.address(host.strip("[]"), int(port))


def _mutual(tls: Tls) -> Json:
    kind = "URI" if "://" in tls.name else "IP_ADDRESS" if _is_ip(tls.name) else "DNS"
    context = typed(
        types.TLS_UP,
        common_tls_context={
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "tls_certificates": [{"certificate_chain": {"filename": tls.cert}, "private_key": {"filename": tls.key}}],
            "validation_context": {
                "trusted_ca": {"filename": tls.ca},
                "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": tls.name}}],
            },
        },
    )
    if kind == "DNS":
        context["sni"] = tls.name
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _is_ip(name: str) -> bool:
    return name.replace(".", "").isdigit() or ":" in name
