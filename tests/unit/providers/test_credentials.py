"""What attempts are authenticated with."""

import datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from extproc.providers.api import NotReady
from extproc.providers.credentials import Bearer, ClientKey, Held, Token, static, temporary
from tests.unit.providers.support import one

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
REGION = "eu-central-1"
HOST = f"bedrock-runtime.{REGION}.amazonaws.com"
KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/+=")


def headers(credential, path="/p", body=b"", method="POST"):
    return dict(credential.headers(method, HOST, path, body, NOW))


@pytest.mark.parametrize(
    ("fields", "name", "prefix"),
    [
        ("type: openai", "authorization", "Bearer "),
        ("type: openai-compatible, base_url: http://h", "authorization", "Bearer "),
        ("type: azure, resource: res", "api-key", ""),
        ("type: anthropic", "x-api-key", ""),
        ("type: gemini", "x-goog-api-key", ""),
    ],
)
def test_keys_are_used_in_turn_in_the_providers_own_header(tmp_path, fields, name, prefix):
    credential = one(tmp_path, f"{{{fields}, keys: [env:K, env:K2]}}").credential
    assert credential.names == {name}
    assert not credential.needs_body
    found = [headers(credential) for _ in range(3)]
    assert found == [{name: prefix + key} for key in ("key-1", "key-2", "key-1")]
    assert "key-1" not in repr(credential)


def test_no_key_at_all(tmp_path):
    assert one(tmp_path, "{type: vllm, keys: none}").credential is None
    assert one(tmp_path, "{type: azure, resource: r, keys: none}").credential is None


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer k"}, "k"),
        ({"x-goog-api-key": "k"}, "k"),
        ({"api-key": "k", "authorization": "Bearer other"}, "k"),
        ({"authorization": "Basic a2V5"}, None),
        ({"authorization": "Bearer "}, None),
        ({}, None),
    ],
)
def test_the_clients_own_key_in_the_providers_header(sent, key):
    credential = ClientKey("api-key", "")
    assert dict(credential.given(sent)) == ({"api-key": key} if key else {})
    assert headers(credential) == {}
    assert dict(ClientKey("authorization", "Bearer ").given({"x-api-key": "k"})) == {"authorization": "Bearer k"}


def theirs(path, body, keys, method):
    request = AWSRequest(method, f"https://{HOST}{path}", headers={"Content-Type": "application/json"}, data=body)
    auth = SigV4Auth(Credentials(*keys), "bedrock", REGION)
    request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if len(keys) > 2:
        request.headers["X-Amz-Security-Token"] = keys[2]
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    return signature, auth.signed_headers(auth.headers_to_sign(request))


@pytest.mark.parametrize("keys", [KEYS, KEYS[:2]])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream"),
        ("POST", "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fabc/invoke"),
        ("GET", "/async-invoke?maxResults=2&statusEquals=Completed&a=&b"),
        ("GET", "/x?a=2&a=1&A=%2F"),
    ],
)
def test_signatures_are_botocores(keys, method, path):
    credential = static(keys, REGION)
    assert credential.needs_body
    found = headers(credential, path, b'{"a":1}', method)
    assert set(found) <= credential.names
    signature, names = theirs(path, b'{"a":1}', keys, method)
    assert found["authorization"].endswith(f"SignedHeaders={names}, Signature={signature}")
    assert found.get("x-amz-security-token") == (keys[2] if len(keys) > 2 else None)
    assert found["x-amz-date"] == "20260102T030405Z"
    assert KEYS[1] not in repr(credential)


@given(
    st.binary(max_size=50),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda name: set(name) != {"."}),
)
def test_signatures_whatever_the_body_and_the_model(body, model):
    path = f"/model/{quote(model, safe='')}/converse"
    signature, _ = theirs(path, body, KEYS, "POST")
    assert headers(static(KEYS, REGION), path, body)["authorization"].endswith(signature)


def test_two_or_three_keys_sign_and_one_is_an_api_key(tmp_path):
    fields = "{type: bedrock, region: eu-central-1, keys: %s}"
    assert headers(one(tmp_path, fields % "env:K").credential) == {"authorization": "Bearer key-1"}
    for names in ("[env:K, env:K2]", "[env:K, env:K2, env:K3]"):
        found = headers(one(tmp_path, fields % names).credential)
        assert "Credential=key-1/20260102/eu-central-1/bedrock/aws4_request" in found["authorization"]
        assert ("x-amz-security-token" in found) is ("K3" in names)


class Nowhere:
    """A source nobody asks."""


@pytest.mark.parametrize("credential", [Bearer(Held("p", Nowhere())), temporary(Held("p", Nowhere()), REGION)])
def test_what_is_fetched_is_not_ready_before_and_after(credential):
    with pytest.raises(NotReady):
        headers(credential)
    credential.held.hold(Token(KEYS, NOW.timestamp() + 0.1))
    assert KEYS[0] in headers(credential)["authorization"]
    assert "authorization" in credential.names
    credential.held.hold(Token(KEYS, NOW.timestamp()))
    with pytest.raises(NotReady) as caught:
        headers(credential)
    assert KEYS[0] not in str(caught.value) + repr(credential) + repr(Token(KEYS, 1.0))
