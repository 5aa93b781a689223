"""The command ``extproc render TARGET``: its options, what they come to, and where the result goes.

A target is a line in ``TARGETS``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from extproc.envoy.processor import Processor, Tls, parse_address
from extproc.errors import StartupError
from extproc.gateway import processor_addresses
from extproc.render import envoy, envoy_gateway, istio, kubernetes
from extproc.render.target import Files, Target, Variant, Wanted
from extproc.runtime import Runtime

TARGETS: Final[dict[str, Target]] = {
    "envoy": Target(
        "Envoy itself: one self-contained bootstrap, or what to add to yours",
        envoy.render,
        envoy.arguments,
        first=envoy.remove_only,
    ),
    "envoy-gateway": envoy_gateway.TARGET,
    "istio": istio.TARGET,
    "kubernetes": kubernetes.TARGET,
}


def arguments(parser: argparse.ArgumentParser, *common: Callable[[argparse.ArgumentParser], None]) -> None:
    """One command a target below ``extproc render``.

    Args:
        common: what adds the options that commands share (the configuration, folders).
    """
    targets = parser.add_subparsers(title="targets", required=True, metavar="TARGET", dest="target")
    for name, target in TARGETS.items():
        each = targets.add_parser(name, help=target.text, description=f"{target.text}.")
        for add in common:
            add(each)
        _variants(each, target.variants)
        _processor(each)
        each.add_argument("--out", metavar="FOLDER", default="-", help="write files there instead of printing them")
        target.arguments(each)
        each.set_defaults(wrong=each.error)


def _variants(parser: argparse.ArgumentParser, variants: frozenset[Variant]) -> None:
    group = parser.add_mutually_exclusive_group(required=Variant.GATEWAY not in variants)
    if Variant.GUARD in variants:
        group.add_argument(
            "--guard-only", action="store_true",
            help="guard traffic that others route: nothing is routed, converted or given keys",
        )  # fmt: skip
    if Variant.SHADOW in variants:
        group.add_argument(
            "--shadow", action="store_true", help="see such traffic and touch nothing, even with the processor dead"
        )


def _processor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processor", action="append", metavar="ADDRESS",
        help="where Envoy finds the processor: unix:/PATH or HOST:PORT, several times for several workers; default: "
        "processor.bind of the configuration",
    )  # fmt: skip
    parser.add_argument(
        "--processor-tls",
        metavar="CA,CERT,KEY",
        help="mutual TLS between Envoy and the processor: paths as Envoy sees them",
    )
    parser.add_argument(
        "--processor-name", metavar="NAME",
        help="DNS name, IP address or URI (spiffe://…) in the processor's certificate; default: its host",
    )  # fmt: skip


def render(options: argparse.Namespace, read: Callable[[], Runtime], run: Path, state: Path) -> int:
    """Render for ``options.target``.

    Args:
        read: gives the compiled configuration.

    Raises:
        ConfigError, StartupError: it cannot be done as asked.
    """
    target = TARGETS[options.target]
    files = target.first(options)
    if files is None:
        runtime = read()
        processor = _processor_of(options, runtime, run)
        files = target.render(Wanted(runtime, _variant(options), processor, run, state, options))
    _put(files, options.out)
    return 0


def _variant(options: argparse.Namespace) -> Variant:
    if getattr(options, "shadow", False):
        return Variant.SHADOW
    return Variant.GUARD if getattr(options, "guard_only", False) else Variant.GATEWAY


def _processor_of(options: argparse.Namespace, runtime: Runtime, run: Path) -> Processor:
    if options.processor:
        addresses = tuple(parse_address(each) for each in options.processor)
    else:
        addresses = processor_addresses(runtime, run)
    if not options.processor_tls:
        if options.processor_name:
            raise StartupError("--processor-name is for --processor-tls")
        return Processor(addresses)
    match [each.strip() for each in options.processor_tls.split(",")]:
        case [ca, cert, key] if ca and cert and key:
            return Processor(addresses, Tls(ca, cert, key, options.processor_name or _host(addresses)))
    raise StartupError("--processor-tls takes three files: CA,CERT,KEY")


def _host(addresses: tuple[str, ...]) -> str:
    """What the certificate has to say where nothing else is said."""
    hosts = {each.rpartition(":")[0].strip("[]") for each in addresses if not each.startswith("/")}
    if len(hosts) != 1:
        raise StartupError("--processor-tls: say with --processor-name what the processor's certificate names")
    return hosts.pop()


def _put(files: Files, out: str) -> None:
    """Print the files, or write them into a folder."""
    if out == "-":
        print("---\n".join(files.values()), end="")
        return
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
        print(folder / name)
