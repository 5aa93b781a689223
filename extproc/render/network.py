"""Who reaches the processor and whom it reaches: Services, NetworkPolicy, certificates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from extproc.envoy.types import Json
from extproc.render.place import HEALTH, PORT, Place
from extproc.runtime import Runtime

_SCHEMES = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}


def services(place: Place) -> list[Json]:
    """Two names for the same pods.

    Meshes and Envoy Gateway know the pods behind the first and balance calls between them. Any other Envoy would keep its
    one HTTP/2 connection to whichever pod it was given first: the second, without an address of its own, resolves to all
    pods, and Envoy (STRICT_DNS) balances and watches them itself.
    """
    port = {"name": "grpc", "appProtocol": "grpc", "port": PORT, "targetPort": "grpc"}
    spec: Json = {"selector": place.labels, "ports": [port]}
    headless = place.object("v1", "Service", f"{place.name}-pods", spec={"clusterIP": "None", **spec})
    return [place.object("v1", "Service", spec=spec), headless]


def gateway_service(place: Place, *, tls: bool) -> Json:
    """For clients; connections are spread by Kubernetes."""
    protocol = "https" if tls else "http"
    port = {"name": protocol, "appProtocol": protocol, "port": 443 if tls else 80, "targetPort": "https"}
    return place.object("v1", "Service", spec={"selector": place.labels, "ports": [port]})


def network_policy(
    place: Place, port: int, callers: Sequence[str], scrapers: Sequence[str], ports: Iterable[int]
) -> Json:
    """Only ``callers`` may call, only ``scrapers`` may read metrics; out goes DNS and what services need.

    Kubernetes cannot name hosts here: ``ports`` are open to any address, except the one where clouds keep their
    machines' credentials.

    Args:
        port: where callers are served.
        callers, scrapers: namespaces; no callers: everybody in the cluster.
        ports: TCP ports of providers and of moderation services.
    """
    ingress: list[Json] = [{"ports": [_tcp(port)], **({"from": _namespaces(callers)} if callers else {})}]
    if scrapers:
        ingress.append({"ports": [_tcp(HEALTH)], "from": _namespaces(scrapers)})
    # wherever DNS is: in kube-system, on the node, elsewhere in other distributions
    egress: list[Json] = [{"ports": [{"protocol": "UDP", "port": 53}, _tcp(53)]}]
    if found := sorted(set(ports)):
        blocks = [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}},
            {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}},
        ]
        egress.append({"ports": [_tcp(each) for each in found], "to": blocks})
    spec = {
        "podSelector": {"matchLabels": place.labels},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    return place.object("networking.k8s.io/v1", "NetworkPolicy", spec=spec)


def _tcp(port: int) -> Json:
    return {"protocol": "TCP", "port": port}


def _namespaces(names: Iterable[str]) -> list[Json]:
    return [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": each}}} for each in names]


def outgoing(runtime: Runtime, *, gateway: bool) -> set[int]:
    """The ports that the processor (and with ``gateway`` its Envoy) connects to."""
    asked = (each.moderation for each in runtime.attached.policies.values())
    found = {_port(each.url) for each in asked if each}
    if gateway:
        found |= {each.port for each in runtime.backends.values()}
    return found - {0}


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or _SCHEMES.get(parts.scheme, 0)


def certificates(place: Place, issuer: str, secret: str, callers: Sequence[str]) -> list[Json]:
    """For cert-manager: the processor's certificate, and one for Envoy in each namespace that calls.

    Args:
        issuer: ``NAME`` of a ClusterIssuer, or ``Issuer/NAME``; the same one signs both sides.
        secret: where the processor's goes.
        callers: namespaces of Envoys.
    """
    short = f"{place.name}.{place.namespace}"
    hosts = [place.host, place.pods, f"{short}.svc", short]
    own = _certificate(place, place.namespace, place.name, secret, hosts, issuer, "server auth")
    name = f"{place.name}-client"
    return [own, *(_certificate(place, each, name, name, [client(each)], issuer, "client auth") for each in callers)]


def client(namespace: str) -> str:
    """The name in the certificate of the Envoys of a namespace."""
    return f"envoy.{namespace}.llm-extproc"


def _certificate(
    place: Place, namespace: str, name: str, secret: str, hosts: list[str], issuer: str, usage: str
) -> Json:
    kind, _, of = issuer.rpartition("/")
    spec = {
        "secretName": secret,
        "dnsNames": hosts,
        "duration": "2160h",
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["digital signature", usage],
        "issuerRef": {"group": "cert-manager.io", "kind": kind or "ClusterIssuer", "name": of},
    }
    found = place.object("cert-manager.io/v1", "Certificate", name, spec=spec)
    found["metadata"]["namespace"] = namespace
    return found
