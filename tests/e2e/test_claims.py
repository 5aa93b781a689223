"""Policies by the claims of a token that Envoy's own filter has verified, as a mesh has it in front of ours."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.e2e.conftest import Start
from tests.e2e.gateway import Running
from tests.e2e.harness import Case
from tests.e2e.upstream import Upstream

ISSUER = "house"
KEY = ec.generate_private_key(ec.SECP256R1())
LONG = {"reason": "a test", "until": "2999-12-31"}
FIRED = {"kind": "wordlist", "words": ["xyzzy"], "action": "block"}


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _number(number: int) -> bytes:
    return number.to_bytes(32, "big")


def token(key: ec.EllipticCurvePrivateKey = KEY, **claims: Any) -> str:
    claims = {"iss": ISSUER, "exp": int(time.time()) + 600, **claims}
    parts = [_text(json.dumps(each).encode()) for each in ({"alg": "ES256", "typ": "JWT", "kid": "k"}, claims)]
    signed = decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
    return ".".join([*parts, _text(b"".join(map(_number, signed)))])


def verifying() -> dict[str, Any]:
    """Envoy's filter: a token of the house, or none at all."""
    point = KEY.public_key().public_numbers()
    key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k"}
    key |= {"x": _text(_number(point.x)), "y": _text(_number(point.y))}
    provider = {
        "issuer": ISSUER,
        "local_jwks": {"inline_string": json.dumps({"keys": [key]})},
        "payload_in_metadata": "payload",
    }
    any_ = {"requires_any": {"requirements": [{"provider_name": "house"}, {"allow_missing": {}}]}}
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"house": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": any_}],
        },
    }


@pytest.fixture(scope="module")
def mesh(start: Start) -> Running:
    attach = [
        {"use": "word", "to": "all"},
        {"use": "extra", "to": {"jwt": {"team": ["red", "blue-*"]}}},
        {"except": "word", "to": {"jwt": {"team": "trusted"}}, **LONG},
        {"except": "word", "to": {"jwt": {"team": "once"}}, "reason": "a test", "until": "2020-01-01"},
        {"except": "word", "to": {"jwt": {"team": "both", "role": "admin"}}, **LONG},
    ]
    return start(
        "mesh",
        filters=[verifying()],
        policies={"word": FIRED, "extra": {**FIRED, "words": ["frobozz"]}},
        attach=attach,
        overrides={"loosen": [{"policies": "word", "to": {"jwt": {"role": "admin"}}}]},
    )


@pytest.fixture
def case(mesh: Running, upstreams: dict[str, Upstream]) -> Iterator[Case]:
    found = Case(mesh, upstreams, tls=False)
    yield found
    found.close()


def asked(case: Case, text: str, bearer: str = "", **headers: str) -> Any:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    client = case.client()
    if bearer:
        headers["authorization"] = f"Bearer {bearer}"
    else:
        del client.headers["authorization"]
    return client.post("/v1/chat/completions", json=case.body(text), headers=headers)


@pytest.mark.parametrize(
    ("claims", "blocked"),
    [
        (None, True),
        ({}, True),
        ({"team": "other"}, True),
        ({"team": "trusted"}, False),
        ({"team": ["other", "trusted"]}, False),
        ({"team": {"trusted": 1}}, True),
        ({"team": "once"}, True),  # that exception is over
        ({"team": "both"}, True),
        ({"team": "both", "role": "admin"}, False),
    ],
)
def test_an_exception_holds_for_verified_claims(case: Case, claims: dict[str, Any] | None, blocked: bool) -> None:
    answer = asked(case, "xyzzy", "" if claims is None else token(**claims))
    assert answer.status_code == (400 if blocked else 200), answer.text
    assert ("word" in answer.headers["x-llm-policies"]) is blocked


@pytest.mark.parametrize(("team", "applies"), [("red", True), ("blue-1", True), ("green", False)])
def test_a_claim_adds(case: Case, team: str, applies: bool) -> None:
    assert asked(case, "frobozz", token(team=team)).status_code == (400 if applies else 200)


@pytest.mark.parametrize("action", ["off", "audit"])
def test_some_callers_may_loosen(case: Case, action: str) -> None:
    assert asked(case, "xyzzy", token(role="user"), x_llm_policy_word=action).status_code == 400
    assert asked(case, "xyzzy", x_llm_policy_word=action).status_code == 400
    case.nothing_sent()
    answer = asked(case, "xyzzy", token(role="admin"), x_llm_policy_word=action)
    assert answer.status_code == 200
    assert "x-llm-policy-word" not in dict(case.one().headers)


@pytest.mark.parametrize(
    "forged", [token(ec.generate_private_key(ec.SECP256R1()), team="trusted"), token(team="trusted", exp=1)]
)
def test_a_token_that_is_not_good_is_refused_by_envoy(case: Case, forged: str) -> None:
    answer = asked(case, "hello", forged)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"]
    case.nothing_sent()


def test_claims_in_other_places_are_nobodys(case: Case) -> None:
    payload = token(team="trusted").split(".")[1]
    for name in ("x-jwt-payload", "x-envoy-jwt-payload", "x-llm-claims", "payload"):
        assert asked(case, "xyzzy", "", **{name: payload}).status_code == 400
    case.nothing_sent()
