"""``extproc render kubernetes``: the processor for an Envoy that is elsewhere in the cluster, or a whole gateway.

Attaching it to traffic is the business of ``render istio`` and ``render envoy-gateway`` (or of ``render envoy``).
"""

from __future__ import annotations

import argparse
import math
from typing import Final

from extproc.envoy.types import Json
from extproc.errors import StartupError
from extproc.render import network, place, sidecar, workload
from extproc.render.place import PORT, named, place_of
from extproc.render.target import Files, Target, Variant, Wanted, documents
from extproc.render.workload import Pods
from extproc.runtime import Runtime
from extproc.version import __version__

_LONGEST: Final = 600.0
"""Seconds that an answer on others' routes may take, unless said."""

_HEAD: Final = """\
# Made by `extproc render kubernetes`. Keys of providers and services are not in here: put them into the Secret
# {name}-keys of namespace {namespace}, by the names that the configuration has them under (env:NAME).
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The target's own options."""
    place.arguments(parser)
    add = parser.add_argument
    add("--image", metavar="IMAGE", default=f"llm-extproc:{__version__}", help="the processor's image")
    add("--replicas", type=int, default=2, help="how many pods there are at least (2)")
    add("--drain", type=float, metavar="SECONDS", help="how long open answers may still take when a pod ends")
    add(
        "--callers", action="append", default=[], metavar="NAMESPACE",
        help="where Envoy is; only from there may the processor be called (several times for several)",
    )  # fmt: skip
    add("--scrapers", action="append", default=[], metavar="NAMESPACE", help="from where metrics are read")
    add(
        "--tls-secret", metavar="NAME",
        help="Secret with tls.crt, tls.key and ca.crt: mutual TLS with Envoy; for a gateway, its certificate",
    )  # fmt: skip
    add(
        "--issuer", metavar="NAME",
        help="cert-manager's ClusterIssuer (or Issuer/NAME) that makes these certificates, and Envoy's",
    )  # fmt: skip
    add(
        "--sidecar", action="store_true",
        help="a patch instead, for a Deployment whose Envoy is to have the processor in its own pod",
    )  # fmt: skip
    add("--run-as", type=int, metavar="UID", default=101, help="with --sidecar: the user Envoy runs as (101)")


def render(wanted: Wanted) -> Files:
    """A file each, in the order in which they are to be applied."""
    head = _HEAD.format(name=wanted.options.name, namespace=wanted.options.processor_namespace)
    return documents(objects(wanted), head)


def objects(wanted: Wanted) -> list[Json]:
    """Everything, without the Secret of keys.

    Raises:
        StartupError: options that make no sense together, or a configuration without a file.
    """
    pods = _pods(wanted)
    config = workload.config_map(pods)
    if wanted.options.sidecar:
        return [config, sidecar.patch(pods, wanted.runtime.config.processor.workers, wanted.options.run_as)]
    return [
        workload.service_account(pods.place),
        config,
        *_certificates(wanted, pods),
        workload.deployment(pods),
        *_network(wanted, pods),
        workload.autoscaler(pods),
        workload.disruption_budget(pods.place),
    ]


def _pods(wanted: Wanted) -> Pods:
    options, runtime = wanted.options, wanted.runtime
    gateway = wanted.variant is Variant.GATEWAY
    _sensible(options, gateway=gateway)
    tls = options.tls_secret or (f"{options.name}-tls" if options.issuer else "")
    if gateway and not tls and runtime.config.gateway.tls == "auto":
        raise StartupError(
            "each pod would make a development certificate of its own: name a Secret with --tls-secret, let cert-manager "
            "make one with --issuer, or say gateway.tls: none where something else ends TLS"
        )
    return Pods(
        place_of(options),
        options.image,
        gateway,
        "shadow" if wanted.variant is Variant.SHADOW else "guard",
        options.replicas,
        math.ceil(_longest(runtime) if options.drain is None else options.drain),
        _texts(runtime),
        tls,
        () if gateway else tuple(network.client(each) for each in options.callers),
    )


def _sensible(options: argparse.Namespace, *, gateway: bool) -> None:
    if options.tls_secret:
        named(options.tls_secret, "--tls-secret")
    for each in (*options.callers, *options.scrapers):
        named(each, "a namespace")
    if options.replicas < 1:
        raise StartupError("--replicas: at least 1")
    if options.sidecar and gateway:
        raise StartupError("--sidecar is for --guard-only or --shadow: a gateway has its Envoy already")
    if options.sidecar and (options.tls_secret or options.issuer):
        raise StartupError(
            "--sidecar shares a socket with Envoy that is for its owner alone: there is no TLS to set up"
        )
    if options.issuer and not gateway and not options.callers:
        raise StartupError("--issuer needs --callers: the namespaces whose Envoys get a certificate")


def _longest(runtime: Runtime) -> float:
    return max((each.timeout for each in runtime.groups), default=_LONGEST)


def _texts(runtime: Runtime) -> dict[str, str]:
    """The configuration's files as they are, by their paths within its folder."""
    files, folder = runtime.loaded.source.files, runtime.loaded.folder.resolve()
    if not files:
        raise StartupError("the configuration has to be in a file, to be put into a ConfigMap: name it with --config")
    found = {}
    for index, path in enumerate(files):
        if index and not path.resolve().is_relative_to(folder):
            raise StartupError(
                f"{path} is outside the configuration's folder, and cannot be put into a ConfigMap with it"
            )
        name = str(path.resolve().relative_to(folder)) if index else "extproc.yaml"
        found[name] = path.read_text("utf-8")
    return found


def _certificates(wanted: Wanted, pods: Pods) -> list[Json]:
    options = wanted.options
    if not options.issuer:
        return []
    callers = [] if pods.gateway else options.callers
    return network.certificates(pods.place, options.issuer, pods.tls, callers)


def _network(wanted: Wanted, pods: Pods) -> list[Json]:
    options = wanted.options
    ports = network.outgoing(wanted.runtime, gateway=pods.gateway)
    if pods.gateway:
        tls = bool(pods.tls) or wanted.runtime.config.gateway.tls != "none"
        services = [network.gateway_service(pods.place, tls=tls)]
    else:
        services = network.services(pods.place)
    policy = network.network_policy(
        pods.place, 8443 if pods.gateway else PORT, options.callers, options.scrapers, ports
    )
    return [*services, policy]


TARGET: Final = Target(
    "a Kubernetes cluster: the processor for an Envoy that is there, or a whole gateway", render, arguments
)
