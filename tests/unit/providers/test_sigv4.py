"""Our signatures are botocore's, and botocore's are accepted unless anything of the request is another."""

import datetime
import hashlib
from dataclasses import replace

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.errors import Refused
from extproc.providers.sigv4 import Request, Scope, Signer, is_signed, sign, verify

KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/+=")
HOST = "https://bedrock-runtime.eu-central-1.amazonaws.com"


def theirs(url, body, keys, region):
    request = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
    SigV4Auth(Credentials(*keys), "bedrock", region).add_auth(request)
    return dict(request.headers)


def check(url, body, keys, region="eu-central-1"):
    wanted = theirs(url, body, keys, region)
    now = datetime.datetime.strptime(wanted["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    ours = sign(url, body, keys, region, "bedrock", now)
    assert ours == {name.lower(): value for name, value in wanted.items()}


@pytest.mark.parametrize("keys", [KEYS, KEYS[:2]])
@pytest.mark.parametrize(
    "url",
    [
        f"{HOST}/guardrail/abc123/version/DRAFT/apply",
        f"{HOST}/guardrail/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aguardrail%2Fabc/version/1/apply",
        "http://127.0.0.1:8080/guardrail/x/version/2/apply",
    ],
)
def test_a_request_is_signed_as_botocore_does(url, keys):
    check(url, b'{"source":"INPUT"}', keys)


@settings(max_examples=200)
@given(
    st.binary(max_size=200),
    st.text("abcXYZ0123456789/+=", min_size=1, max_size=60),
    st.sampled_from(["us-east-1", "x"]),
)
def test_whatever_the_body_and_the_secret(body, secret, region):
    check(f"{HOST}/guardrail/a/version/1/apply", body, ("AKID", secret), region)


# any request, signed by botocore and checked by us

SECRET = KEYS[1]


def signed(
    method="POST",
    target="/model/m/converse",
    headers=None,
    body=b"{}",
    keys=KEYS[:2],
    service="bedrock",
    host="h.example",
):
    """A request as it comes from botocore, and the time it was signed at."""
    request = AWSRequest(method, f"https://{host}{target}", headers=dict(headers or {}), data=body)
    SigV4Auth(Credentials(*keys), service, "eu-central-1").add_auth(request)
    found = {name.lower(): value for name, value in request.headers.items()}
    now = datetime.datetime.strptime(found["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    return Request(method, target, {"host": host, **found}, body), now


def secrets(identity):
    return {KEYS[0]: SECRET, "OTHER": "another"}.get(identity)


ARN = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude/converse-stream"
TARGETS = st.sampled_from(
    ["/model/m/converse", "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/invoke", ARN, "/bedrock/model/a~b%20c/converse",
     "/", "/a//b", "/a/./b/", "/a/../b", "/a?x=1", "/a?b=2&a=1&a=0&c", "/a?x=%2F%20", "/%E2%82%AC"]
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "accept", "x-amzn-bedrock-accept", "x-custom", "amz-sdk-request", "user-agent"]),
    st.text("abc XYZ;=/,.", max_size=12).map(str.strip),
    max_size=4,
)


@given(
    st.sampled_from(["GET", "POST", "PUT"]), TARGETS, HEADERS, st.binary(max_size=50), st.sampled_from([KEYS, KEYS[:2]])
)
def test_what_botocore_signs_is_accepted(method, target, headers, body, keys):
    request, now = signed(method, target, headers, body, keys)
    assert is_signed(request.headers)
    assert verify(request, secrets, now) == Signer(KEYS[0], Scope(now.strftime("%Y%m%d"), "eu-central-1", "bedrock"))
    for minutes in (-5, 5):
        verify(request, secrets, now + datetime.timedelta(minutes=minutes))


@given(st.sampled_from(["GET", "POST"]), TARGETS, HEADERS, st.binary(max_size=50))
def test_we_sign_any_request_as_botocore_does(method, target, headers, body):
    wanted, now = signed(method, target, headers, body)
    names = wanted.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    more = {name: value for name, value in headers.items() if name in names}
    ours = sign(f"https://h.example{target}", body, KEYS[:2], "eu-central-1", "bedrock", now, method, more)
    assert ours["authorization"] == wanted.headers["authorization"]


@given(
    TARGETS, st.sampled_from(["method", "target", "header", "body", "host", "signature", "names", "identity", "added"])
)
def test_whatever_was_changed_is_refused(target, what):
    request, now = signed(target=target, headers={"Content-Type": "application/json"})
    headers = dict(request.headers)
    changed = {
        "method": replace(request, method="PUT"),
        "target": replace(request, target=request.target + ("&" if "?" in target else "?") + "q=1"),
        "header": replace(request, headers={**headers, "content-type": "text/plain"}),
        "body": replace(request, body=b"{} "),
        "host": replace(request, headers={**headers, "host": "i.example"}),
        "signature": altered(request, lambda text: text[:-1] + ("0" if text[-1] != "0" else "1")),
        "names": altered(request, lambda text: text.replace("content-type;", "")),
        "identity": altered(request, lambda text: text.replace(KEYS[0], "OTHER")),
        "added": replace(request, headers={**headers, "x-amz-security-token": "t"}),
    }[what]
    refuse(changed, now)


def altered(request, change):
    return replace(request, headers={**request.headers, "authorization": change(request.headers["authorization"])})


def refuse(request, now, **more):
    with pytest.raises(Refused) as caught:
        verify(request, secrets, now, **more)
    assert (caught.value.status, caught.value.code, caught.value.kind) == (
        403,
        "invalid_signature",
        "authentication_error",
    )
    assert SECRET not in caught.value.message
    return caught.value.message


def test_the_time_must_be_now():
    request, now = signed()
    for seconds in (-301, 301, 86400):
        assert "too old" in refuse(request, now + datetime.timedelta(seconds=seconds))
    for stamp in ("20260230T000000Z", "x", now.strftime("%Y%m%d"), "20200101T000000Z"):
        refuse(replace(request, headers={**request.headers, "x-amz-date": stamp}), now)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer abc", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256 Credential=a",
     "AWS4-HMAC-SHA256 Credential=a/b, Signature=c",
     "AWS4-HMAC-SHA256 Credential=A/20260101/r/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + "g" * 64],
)  # fmt: skip
def test_what_is_no_signature_is_refused(authorization):
    request, now = signed()
    refuse(replace(request, headers={**request.headers, "authorization": authorization}), now)
    assert is_signed({"authorization": authorization}) == authorization.startswith("AWS4-")


def test_who_is_not_known_hears_the_same_as_who_signs_wrongly():
    request, now = signed(keys=("NOBODY", "x"))
    assert refuse(request, now) == refuse(signed(keys=(KEYS[0], "x"))[0], now)
    with pytest.raises(Refused):
        verify(signed(keys=("NOBODY", "nobody's"))[0], secrets, now)


def test_a_signature_for_another_service_is_refused():
    request, now = signed(service="s3")
    assert "service" in refuse(request, now)
    assert verify(request, secrets, now, services=("s3",)).scope.service == "s3"


def test_signatures_in_the_query_and_unsigned_bodies_are_refused():
    request, now = signed()
    assert "query" in refuse(replace(request, target="/model/m/converse?X-Amz-Algorithm=a&X-Amz-Signature=b"), now)
    for told in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64):
        request, now = signed(headers={"X-Amz-Content-Sha256": told})
        assert "body" in refuse(request, now)
    request, now = signed(headers={"X-Amz-Content-Sha256": hashlib.sha256(b"{}").hexdigest()})
    verify(request, secrets, now)


@given(
    st.text(max_size=200),
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["host", "x-amz-date", "a"]), st.text(max_size=20)),
)
def test_any_request_is_accepted_or_refused(authorization, target, headers):
    _, now = signed()
    for text in (
        authorization,
        "AWS4-HMAC-SHA256 Credential=A/20260101/r/bedrock/aws4_request, SignedHeaders=a;host;x-amz-date, Signature="
        + "0" * 64,
    ):
        refuse(Request("POST", target, {**headers, "authorization": text}, b""), now)
