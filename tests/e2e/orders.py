"""Other filters of Envoy's, before and after ours, each order on a listener of its own."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.e2e.gateway import Chain
from tests.e2e.onlooker import MODES, processing

_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_GZIP = "type.googleapis.com/envoy.extensions.compression.gzip"
_LIMIT = 64 << 20
KEY = Ed25519PrivateKey.generate()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token() -> str:
    """A token that the filter ``jwt`` takes."""
    parts = ({"alg": "EdDSA", "kid": "k"}, {"iss": "tests", "sub": "someone"})
    signed = ".".join(_encoded(json.dumps(each).encode()) for each in parts)
    return f"{signed}.{_encoded(KEY.sign(signed.encode()))}"


def _keys() -> str:
    public = _encoded(KEY.public_key().public_bytes_raw())
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": public}]})


def _filter(name: str, type_: str, **config: Any) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{_HTTP}.{type_}", **config}}


def _library(kind: str, name: str) -> dict[str, Any]:
    return {"name": f"gzip_{kind}", "typed_config": {"@type": f"{_GZIP}.{kind}.v3.{name}"}}


FILTERS: dict[str, dict[str, Any]] = {
    "buffer": _filter("buffer", "buffer.v3.Buffer", max_request_bytes=_LIMIT),
    "compressor": _filter(
        "compressor", "compressor.v3.Compressor", compressor_library=_library("compressor", "Gzip"),
        response_direction_config={"common_config": {"content_type": ["application/json", "text/event-stream"]}},
    ),
    "decompressor": _filter(
        "decompressor", "decompressor.v3.Decompressor", decompressor_library=_library("decompressor", "Gzip")
    ),
    "jwt": _filter(
        "jwt_authn", "jwt_authn.v3.JwtAuthentication",
        providers={"tests": {"issuer": "tests", "forward": True, "local_jwks": {"inline_string": _keys()},
                             "from_headers": [{"name": "x-token"}]}},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "tests"}}],
    ),
    "rbac": _filter("rbac", "rbac.v3.RBAC", rules={"action": "DENY", "policies": {"no": {
        "permissions": [{"header": {"name": "x-denied", "present_match": True}}], "principals": [{"any": True}]}}}),
    "ratelimit": _filter(
        "local_ratelimit", "local_ratelimit.v3.LocalRateLimit", stat_prefix="local",
        token_bucket={"max_tokens": 1000, "tokens_per_fill": 1000, "fill_interval": "1s"},
        filter_enabled={"default_value": {"numerator": 100}}, filter_enforced={"default_value": {"numerator": 100}},
    ),
    "lua": _filter("lua", "lua.v3.Lua", default_source_code={"inline_string":
        "function envoy_on_request(h) local b = h:body() end\nfunction envoy_on_response(h) local b = h:body() end"}),
    "lua-chunks": _filter("lua", "lua.v3.Lua", default_source_code={"inline_string":
        "function envoy_on_response(h) for chunk in h:bodyChunks() do local n = chunk:length() end end"}),
}  # fmt: skip


def _chains() -> dict[str, Chain]:
    found: dict[str, Chain] = {}
    for place in ("before", "after"):
        kinds = {f"{place}-{name}": each for name, each in FILTERS.items()}
        kinds |= {f"{place}-ext_proc-{mode.lower()}": processing(f"{place}-{mode}", mode, mode) for mode in MODES}
        for name, each in kinds.items():
            found[name] = ([each], []) if place == "before" else ([], [each])
    return found


CHAINS = _chains()
"""Listeners by what is before or after ours."""
WRONG = {"after-jwt", "after-decompressor"}
"""Nobody gets through, or no answer does."""
LOSING = {"before-ext_proc-none"}
"""Answers may come short behind these."""
HOLDING = {f"{place}-{name}" for place in ("before", "after") for name in ("lua", "ext_proc-buffered")}
"""Streams come whole, when they are over."""
STREAMING = ["before-buffer", "after-buffer", "before-lua", "after-lua"]
"""Those that collect requests themselves."""
