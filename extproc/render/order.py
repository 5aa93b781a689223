"""Where the guard goes among the HTTP filters of an Envoy that is there already, and what its neighbours mean for it.

Requests pass the filters from first to last, answers from last to first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from extproc.envoy.types import GUARD_FILTER, SHADOW_FILTER

_BEFORE: Final = frozenset({
    # who calls, and who may: so that a policy knows them, and nobody else costs an inspection
    "cors.v3.Cors", "csrf.v3.CsrfPolicy", "jwt_authn.v3.JwtAuthentication", "ext_authz.v3.ExtAuthz", "rbac.v3.RBAC",
    "oauth2.v3.OAuth2", "basic_auth.v3.BasicAuth", "api_key_auth.v3.ApiKeyAuth", "health_check.v3.HealthCheck",
    "local_ratelimit.v3.LocalRateLimit", "ratelimit.v3.RateLimit", "ip_tagging.v3.IPTagging",
    "admission_control.v3.AdmissionControl", "header_to_metadata.v3.Config", "adaptive_concurrency.v3.AdaptiveConcurrency",
    # answers reach it after the guard, so that it compresses what the guard leaves
    "compressor.v3.Compressor",
})  # fmt: skip
"""Extension types (the end of their names) that come before the guard."""

_CHANGES: Final = frozenset({
    "lua.v3.Lua", "lua.v3.LuaPerRoute", "wasm.v3.Wasm", "ext_proc.v3.ExternalProcessor", "golang.v3alpha.Config",
    "grpc_json_transcoder.v3.GrpcJsonTranscoder", "dynamic_modules.v3.DynamicModuleFilter", "aws_lambda.v3.Config",
})  # fmt: skip
"""Those that may change bodies."""


def place(types: Sequence[str]) -> int:
    """The index the guard goes to.

    Args:
        types: the filters' extension types, in their order.
    """
    return 1 + max((index for index, each in enumerate(types) if _in(each, _BEFORE)), default=-1)


def cautions(label: str, names: Sequence[str], types: Sequence[str], at: int) -> Iterator[str]:
    """What to mind of the other filters, one sentence each.

    Args:
        label: ``guard`` or ``shadow``.
        at: where it is to stand among them.
    """
    for index, (name, each) in enumerate(zip(names, types, strict=True)):
        if name in _OURS:
            yield f"{name} is there, too: what it redacts or blocks the {label} does not see; better on different routes"
        elif index < at:
            yield from _before(label, name, each)
        elif _in(each, _CHANGES):
            unseen = f"{name} comes after the {label}: what it adds to requests is not inspected"
            yield (
                unseen if label == "shadow" else f"{unseen}, and answers that it collects whole do not stream any more"
            )
        if each.endswith("decompressor.v3.Decompressor") and label != "shadow":
            yield (
                f"{name}: answers hang where a decompressor and the {label} meet, which decompresses by itself: switch the "
                "decompressor off on these routes"
            )


def _before(label: str, name: str, type_: str) -> Iterator[str]:
    if _in(type_, _CHANGES):
        yield f"{name} comes before the {label}: what it adds to answers is not inspected"
    if type_.endswith("ext_proc.v3.ExternalProcessor"):
        yield f"{name} is an ext_proc filter before the {label}: Envoy 1.36 and 1.37 lose answers there"
    if type_.endswith("buffer.v3.Buffer"):
        yield f"{name} comes before the {label}: larger requests than its own limit it refuses"


_OURS: Final = frozenset({GUARD_FILTER, SHADOW_FILTER})


def _in(type_: str, among: frozenset[str]) -> bool:
    return any(type_.endswith(f".{each}") for each in among)
