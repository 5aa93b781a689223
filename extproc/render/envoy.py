"""``extproc render envoy``: a whole bootstrap, or the guard (or shadow) for an Envoy that is there already."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from extproc.envoy import static, types, versions
from extproc.envoy.filters import guard_filter
from extproc.envoy.processor import processor_cluster
from extproc.errors import ConfigError, StartupError
from extproc.gateway import layout_for
from extproc.render.merge import Addition, merge, remove
from extproc.render.target import Files, Variant, Wanted, yaml_of

_NAMES: Final = {
    Variant.GUARD: ("guard", types.GUARD_FILTER, types.GUARD_CLUSTER),
    Variant.SHADOW: ("shadow", types.SHADOW_FILTER, types.SHADOW_CLUSTER),
}
"""What marks an addition, its filter's name, its cluster's."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What only this target has."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--merge-into",
        metavar="FILE",
        help="print this bootstrap of yours (YAML or JSON) with the filter and cluster added",
    )
    where.add_argument(
        "--remove-from", "--undo", metavar="FILE", help="print it as it was before; needs no configuration"
    )
    parser.add_argument(
        "--envoy", metavar="VERSION", help="the Envoy it is for, such as 1.38; default: the newest tested"
    )
    parser.add_argument("--in-place", action="store_true", help="change FILE itself instead of printing it")
    parser.add_argument("--listener", action="append", default=[], metavar="NAME", help="only there (all with HTTP)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--route", action="append", default=[], metavar="ROUTE",
        help="only on this route: its name, or its path as it stands there, with or without VIRTUALHOST: before it",
    )  # fmt: skip
    which.add_argument("--except-route", action="append", default=[], metavar="ROUTE", help="on all but this one")


def remove_only(options: argparse.Namespace) -> Files | None:
    """``--remove-from``: the file without the additions; None where something else is asked for."""
    _usage(options)
    if not options.remove_from:
        return None
    path = Path(options.remove_from)
    before = text = _read(path)
    chosen = [Variant.SHADOW] if options.shadow else [Variant.GUARD] if options.guard_only else list(_NAMES)
    for variant in reversed(chosen):
        text = remove(text, *_NAMES[variant], str(path))
    if text == before:
        _say(f"{path}: nothing to remove")
    return _result(path, text, options)


def render(wanted: Wanted) -> Files:
    """One file."""
    version = wanted.options.envoy or ""
    if wanted.variant is Variant.GATEWAY:
        if wanted.runtime.guards_only:
            raise StartupError(
                "the configuration has no providers to route to; for others' traffic: --guard-only or --shadow"
            )
        _caution(version, *versions.uses(wanted.runtime))
        layout, _ = layout_for(wanted.runtime, wanted.run, wanted.state, version)
        return {"envoy.yaml": static.text(wanted.runtime, layout)}
    _caution(version, _NAMES[wanted.variant][0])
    if not wanted.options.merge_into:
        return {f"envoy-{_NAMES[wanted.variant][0]}.yaml": _snippet(addition(wanted))}
    path = Path(wanted.options.merge_into)
    merged = merge(_read(path), addition(wanted), str(path))
    for note in merged.notes:
        _say(f"{path}: {note}")
    if merged.already:
        _say(f"{path}: it is there already; nothing to add")
    return _result(path, merged.text, wanted.options)


def _caution(version: str, *uses: str) -> None:
    """Say what to mind with the version that was named."""
    for sentence in versions.cautions(version, uses) if version else ():
        _say(sentence)


def addition(wanted: Wanted) -> Addition:
    """The filter and the cluster of a guard or shadow, and where they go."""
    label, _, cluster = _NAMES[wanted.variant]
    config, options = wanted.runtime.config, wanted.options
    shadow = wanted.variant is Variant.SHADOW
    return Addition(
        label,
        guard_filter(config, shadow=shadow),
        processor_cluster(wanted.processor, cluster),
        max_body=0 if shadow else config.gateway.max_body,
        old=versions.connection_buffer(options.envoy or "", config.gateway.max_body) != types.BUFFER,
        listeners=tuple(options.listener),
        only=tuple(options.route),
        but=tuple(options.except_route),
    )


def _usage(options: argparse.Namespace) -> None:
    """End with status 2 if options make no sense together."""
    variant = options.guard_only or options.shadow
    if options.merge_into and not variant:
        options.wrong("--merge-into: say what, with --guard-only or --shadow")
    if options.in_place and not (options.merge_into or options.remove_from):
        options.wrong("--in-place is for --merge-into and --remove-from")
    if options.in_place and options.out != "-":
        options.wrong("--in-place and --out are two places for one result")
    if (options.listener or options.route or options.except_route) and not options.merge_into:
        options.wrong("--listener, --route and --except-route are for --merge-into")
    if (options.processor or options.processor_tls) and not (variant and not options.remove_from):
        options.wrong("--processor is for --guard-only and --shadow; a gateway has its own, processor.bind")


def _result(path: Path, text: str, options: argparse.Namespace) -> Files:
    if not options.in_place:
        return {path.name: text}
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(text.encode())
    temporary.chmod(path.stat().st_mode & 0o7777)
    temporary.replace(path)
    return {}


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}") from None


def _say(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


_HEADS: Final = {
    "guard": """\
# The guard of llm-extproc, made by `extproc render envoy --guard-only`: nothing passes it uninspected, and while the
# processor is away nothing passes it at all.
# Requests are collected whole: on virtual hosts or routes with large ones set `request_body_buffer_limit: {most}`
# (gateway.max_body), or those over per_connection_buffer_limit_bytes of the listener (1 MiB unless set) get a 413.
""",
    "shadow": """\
# The SHADOW of llm-extproc, made by `extproc render envoy --shadow`: it sees every byte and can touch none.
""",
}


def _snippet(added: Addition) -> str:
    return (
        _HEADS[added.label].format(most=added.max_body)
        + "\n# 1. Into http_filters of the HTTP connection manager: after the filters that say who calls (cors, jwt_authn,\n"
        "#    ext_authz, rbac) and after compressor; before what changes or collects bodies, and before the router.\n"
        + yaml_of([added.filter])
        + "\n# 2. Into static_resources.clusters: where the processor is.\n"
        + yaml_of([added.cluster])
    )
