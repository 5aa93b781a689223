"""``extproc render envoy-gateway``: the guard (or the shadow) as an EnvoyExtensionPolicy on a Gateway or on routes.

Stands on: the CRDs and the translator of Envoy Gateway 1.5 to 1.9. What its ``extProc`` cannot say, in any of them:

- gRPC metadata, so the processor cannot be told which filter calls: it takes such calls for what ``guard.unnamed`` says;
- some attributes (route metadata): policies know routes by Envoy's names for them alone;
- request trailers beside a body that is collected: Envoy passes these uninspected (HTTP/2 clients can send some);
- limits of time for a whole body, and mutation rules: its defaults do.

Its gRPC timeout (10 s, fixed) does not end running streams: with 1 s instead, an answer of 3.6 s passed whole (1.40).
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Final

from extproc.envoy import types, versions
from extproc.envoy.filters import guard_filter
from extproc.envoy.processor import processor_cluster
from extproc.envoy.types import Json
from extproc.errors import StartupError
from extproc.render import place
from extproc.render.place import PORT, named, place_of
from extproc.render.target import Files, Target, Variant, Wanted, documents

_POLICY: Final = "gateway.envoyproxy.io"
_ROUTES: Final = "gateway.networking.k8s.io"
_ENVOYS: Final = {5: "1.35", 6: "1.36", 7: "1.37", 8: "1.38", 9: "1.39"}
"""Which Envoy a minor version of Envoy Gateway 1 carries, as its compatibility matrix and its sources say."""
_SINCE_STATUS: Final = 9
"""The first that knows ``shadowMode`` and ``statusOnError``."""
_SINCE_TLS: Final = 7
"""The first whose Backend takes ``sni`` and ``clientCertificateRef``."""
_SINCE_PING: Final = 8
"""The first that can have Envoy ask a connection whether anybody is there."""
_ATTRIBUTE: Final = re.compile(
    r"(connection\.|source\.|destination\.|request\.|response\.|upstream\.|xds\.route_)[a-z_1-9]*"
)
"""The attributes its CRD allows."""

_HEAD: Final = """\
# Made by `extproc render envoy-gateway`. Deleting the EnvoyExtensionPolicy takes it out again. The processor has to know
# what these calls are, as Envoy Gateway cannot tell it: guard.unnamed: {which} (`extproc render kubernetes` says so).
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The target's own options."""
    place.arguments(parser)
    add = parser.add_argument
    add("--gateway", required=True, metavar="NAME", help="the Gateway")
    add("--namespace", metavar="NAMESPACE", default="default", help="of the Gateway and its routes (default)")
    add(
        "--route", action="append", default=[], metavar="NAME",
        help="only this HTTPRoute (several times for several); default: the whole Gateway",
    )  # fmt: skip
    add("--version", metavar="VERSION", default="1.9", help="Envoy Gateway's version (1.9)")
    add(
        "--client-secret", metavar="NAME",
        help="Secret with tls.crt, tls.key and ca.crt: mutual TLS with the processor (from 1.7 on)",
    )  # fmt: skip


def render(wanted: Wanted) -> Files:
    """A file each, in the order in which they are to be applied."""
    return documents(objects(wanted), _HEAD.format(which="shadow" if wanted.variant is Variant.SHADOW else "guard"))


def objects(wanted: Wanted) -> list[Json]:
    """The policy and what it needs.

    Raises:
        StartupError: this version of Envoy Gateway cannot say it, or options make no sense together.
    """
    options = wanted.options
    minor = _minor(options.version)
    shadow = wanted.variant is Variant.SHADOW
    for sentence in versions.cautions(_ENVOYS[minor], [versions.SHADOW if shadow else versions.GUARD]):
        print(f"warning: {sentence}", file=sys.stderr)
    if shadow and minor < _SINCE_STATUS:
        raise StartupError(
            f"Envoy Gateway {options.version} cannot attach a shadow: `shadowMode` begins with 1.{_SINCE_STATUS}"
        )
    if wanted.options.processor_tls:
        raise StartupError("Envoy Gateway takes certificates from Secrets, not from files: --client-secret NAME")
    for each in (options.gateway, options.namespace, *options.route):
        named(each, "a name of an object")
    backend, needed = _backend(wanted, minor)
    policy = _object(options.namespace, "EnvoyExtensionPolicy", f"{options.name}-{'shadow' if shadow else 'guard'}", {
        "targetRefs": _targets(options),
        "extProc": [_ext_proc(wanted, backend, minor)],
    })  # fmt: skip
    limit = [] if shadow else [_body_limit(options, wanted.runtime.config.gateway.max_body)]
    return [*needed, *limit, policy]


def envoy_of(version: str) -> str:
    """The version of Envoy that a version of Envoy Gateway carries, for example 1.37 for 1.7.2."""
    return _ENVOYS[_minor(version)]


def _minor(version: str) -> int:
    found = re.fullmatch(r"v?1\.(\d+)(\.\d+)?", version)
    if not found:
        raise StartupError(f"--version {version}: say it as 1.9 or 1.9.1")
    minor = int(found[1])
    if minor not in _ENVOYS:
        raise StartupError(f"Envoy Gateway {version} is not among the versions known here: 1.6 to 1.{max(_ENVOYS)}")
    if minor < 6:
        raise StartupError(
            f"Envoy Gateway {version} carries Envoy {_ENVOYS[minor]}; streams can be guarded from Envoy 1.36 on: 1.6"
        )
    return minor


def _object(namespace: str, kind: str, name: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{_POLICY}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _targets(options: argparse.Namespace) -> list[Json]:
    if options.route:
        return [{"group": _ROUTES, "kind": "HTTPRoute", "name": each} for each in options.route]
    return [{"group": _ROUTES, "kind": "Gateway", "name": options.gateway}]


def _ext_proc(wanted: Wanted, backend: Json, minor: int) -> Json:
    """The same filter as everywhere, in the words of the policy."""
    shadow = wanted.variant is Variant.SHADOW
    filter_ = guard_filter(wanted.runtime.config, shadow=shadow)["typed_config"]
    namespaces = filter_["metadata_options"]
    metadata = {"accessibleNamespaces": namespaces["forwarding_namespaces"]["untyped"]}
    if not shadow:
        metadata["writableNamespaces"] = namespaces["receiving_namespaces"]["untyped"]
    found: Json = {
        "backendRefs": [backend],
        "backendSettings": _settings(wanted, minor),
        "failOpen": shadow,
        "processingMode": {
            "request": {"body": "Streamed" if shadow else "Buffered", "attributes": _told(filter_, "request")},
            "response": {
                "body": "Streamed" if shadow else "FullDuplexStreamed",
                "attributes": _told(filter_, "response"),
            },
        },
        "metadata": metadata,
    }
    if shadow:
        return found | {"shadowMode": True}
    found["messageTimeout"] = f"{round(float(filter_['message_timeout'].removesuffix('s')) * 1000)}ms"
    return found | ({"statusOnError": 503} if minor >= _SINCE_STATUS else {})


def _settings(wanted: Wanted, minor: int) -> Json:
    """The same care for the processor's cluster as everywhere, as far as it can be said.

    Unless told, Envoy Gateway has no more than 1024 exchanges at a time and fails the next; streams are long.
    """
    shadow = wanted.variant is Variant.SHADOW
    cluster = processor_cluster(wanted.processor, types.SHADOW_CLUSTER if shadow else types.GUARD_CLUSTER)
    most = cluster["circuit_breakers"]["thresholds"][0]
    (asked,) = cluster["health_checks"]
    options = cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    http2 = options["explicit_http_config"]["http2_protocol_options"]
    found: Json = {
        "circuitBreaker": {
            "maxParallelRequests": most["max_requests"],
            "maxPendingRequests": most["max_pending_requests"],
        },
        "healthCheck": {
            "panicThreshold": 0,
            "active": {
                "type": "GRPC",
                "grpc": {"service": asked["grpc_health_check"]["service_name"]},
                "timeout": asked["timeout"],
                "interval": "1s",
                "unhealthyThreshold": asked["unhealthy_threshold"],
                "healthyThreshold": asked["healthy_threshold"],
            },
        },
        "http2": {
            "initialStreamWindowSize": str(http2["initial_stream_window_size"]),
            "initialConnectionWindowSize": str(http2["initial_connection_window_size"]),
        },
        "timeout": {"tcp": {"connectTimeout": cluster["connect_timeout"]}},
    }
    if minor >= _SINCE_PING:
        found["http2"]["connectionKeepalive"] = http2["connection_keepalive"]
    return found


def _told(filter_: Json, phase: str) -> list[str]:
    return [each for each in filter_[f"{phase}_attributes"] if _ATTRIBUTE.fullmatch(each)]


def _backend(wanted: Wanted, minor: int) -> tuple[Json, list[Json]]:
    """What the policy refers to, and the objects behind it: a Service, or a Backend where a Service cannot say it."""
    options, processor = wanted.options, place_of(wanted.options)
    if not options.processor and not options.client_secret:
        service: Json = {"group": "", "kind": "Service", "name": processor.name, "port": PORT}
        if processor.namespace == options.namespace:
            return service, []
        return {**service, "namespace": processor.namespace}, [
            _grant(options.namespace, processor.namespace, processor.name)
        ]
    addresses = wanted.processor.addresses if options.processor else (f"{processor.pods}:{PORT}",)
    spec: Json = {"appProtocols": ["gateway.envoyproxy.io/h2c"], "endpoints": [_endpoint(each) for each in addresses]}
    if options.client_secret:
        if minor < _SINCE_TLS:
            raise StartupError(f"Envoy Gateway {options.version} cannot show the processor a certificate: from 1.7 on")
        del spec["appProtocols"]
        spec["tls"] = _tls(options.client_secret, processor.host)
    reference = {"group": _POLICY, "kind": "Backend", "name": processor.name}
    return reference, [_object(options.namespace, "Backend", processor.name, spec)]


def _endpoint(address: str) -> Json:
    if address.startswith("/"):
        return {"unix": {"path": address}}
    host, _, port = address.rpartition(":")
    if ":" in host or host.replace(".", "").isdigit():
        return {"ip": {"address": host.strip("[]"), "port": int(port)}}
    return {"fqdn": {"hostname": host, "port": int(port)}}


def _tls(secret: str, host: str) -> Json:
    return {
        "caCertificateRefs": [{"group": "", "kind": "Secret", "name": named(secret, "--client-secret")}],
        "sni": host,
        "clientCertificateRef": {"group": "", "kind": "Secret", "name": secret},
        "alpnProtocols": ["h2"],
    }


def _grant(from_: str, to: str, name: str) -> Json:
    """Lets the policy's namespace refer to the processor's Service."""
    return {
        "apiVersion": f"{_ROUTES}/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": f"{name}-from-{from_}"[:63].rstrip("-"), "namespace": to},
        "spec": {
            "from": [{"group": _POLICY, "kind": "EnvoyExtensionPolicy", "namespace": from_}],
            "to": [{"group": "", "kind": "Service", "name": name}],
        },
    }


def _body_limit(options: argparse.Namespace, most: int) -> Json:
    """Requests are collected whole, within what a connection may buffer (32 KiB unless said).

    A Gateway takes one such policy: where there is one already, this belongs into it.
    """
    return _object(options.namespace, "ClientTrafficPolicy", f"{options.name}-buffer", {
        "targetRefs": [{"group": _ROUTES, "kind": "Gateway", "name": options.gateway}],
        "connection": {"bufferLimit": str(most)},
    })  # fmt: skip


TARGET: Final = Target(
    "Envoy Gateway: an EnvoyExtensionPolicy for a Gateway or for routes",
    render,
    arguments,
    frozenset({Variant.GUARD, Variant.SHADOW}),
)
