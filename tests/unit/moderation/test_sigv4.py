"""Our signatures are botocore's."""

import datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.moderation.sigv4 import sign

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
