"""``extproc render envoy``: a whole bootstrap, or the guard (or shadow) for an Envoy that is there already."""

from __future__ import annotations

from extproc.envoy import static, types
from extproc.envoy.filters import guard_filter
from extproc.envoy.processor import processor_cluster
from extproc.envoy.types import Json
from extproc.gateway import layout_for
from extproc.render.target import Files, Variant, Wanted, yaml_of
from extproc.runtime import Runtime


def render(wanted: Wanted) -> Files:
    """One file."""
    if wanted.variant is Variant.GATEWAY:
        layout, _ = layout_for(wanted.runtime, wanted.run, wanted.state)
        return {"envoy.yaml": static.text(wanted.runtime, layout)}
    return {"envoy-snippet.yaml": _snippet(wanted)}


def parts(wanted: Wanted) -> tuple[Json, Json]:
    """The filter and the cluster of a guard or shadow."""
    shadow = wanted.variant is Variant.SHADOW
    name = types.SHADOW_CLUSTER if shadow else types.GUARD_CLUSTER
    return guard_filter(wanted.runtime.config, shadow=shadow), processor_cluster(wanted.processor, name)


_GUARD = """\
# The guard of llm-extproc, made by `extproc render envoy --guard-only`: on these routes nothing passes uninspected.
"""
_SHADOW = """\
# The SHADOW of llm-extproc, made by `extproc render envoy --shadow`: it sees every byte and can touch nothing.
"""


def _snippet(wanted: Wanted) -> str:
    filter_, cluster = parts(wanted)
    return (
        (_SHADOW if wanted.variant is Variant.SHADOW else _GUARD)
        + _limits(wanted.runtime, wanted.variant)
        + "\n# 1. Into http_filters of each HTTP connection manager: after the filters that say who calls (cors, jwt_authn,\n"
        "#    ext_authz, rbac) and after compressor, before what changes or collects bodies, before the router.\n"
        + yaml_of([filter_])
        + "\n# 2. Into static_resources.clusters: where the processor is.\n"
        + yaml_of([cluster])
    )


def _limits(runtime: Runtime, variant: Variant) -> str:
    if variant is Variant.SHADOW:
        return ""
    most = runtime.config.gateway.max_body
    return (
        f"# Requests are collected whole: set per_connection_buffer_limit_bytes: {most} (gateway.max_body) on the listener,\n"
        "# or larger bodies than the limit there (1 MiB unless set) are refused with 413.\n"
    )
