"""Signed requests: botocore signs, we look."""

import datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from extproc import events
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import compiled

CONFIG = """
gateway: {aws_keys: {AKIDEXAMPLE000001: env:CLIENT}}
providers: {bedrock: {region: us-east-1, keys: [env:ID, env:SECRET]}}
models: {"*": bedrock}
"""
ENVIRONMENT = {"CLIENT": "client-secret", "ID": "AKIDPROVIDER", "SECRET": "provider-secret"}
BODY = b'{"messages": [{"role": "user", "content": [{"text": "hello"}]}]}'
PATH = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse"


def signed(secret="client-secret", identity="AKIDEXAMPLE000001", body=BODY, **changes):
    request = AWSRequest(
        "POST",
        f"https://gateway:8443{PATH}",
        data=body,
        headers={"content-type": "application/json", "host": "gateway:8443"},
    )
    SigV4Auth(Credentials(identity, secret), "bedrock", "us-east-1").add_auth(request)
    found = {name.lower(): value for name, value in request.headers.items() if name.lower() != "host"}
    return {":method": "POST", ":path": PATH, ":authority": "gateway:8443", **found, **changes}


def sent(folder, headers, body=BODY):
    exchange = RouterExchange(compiled(CONFIG, folder, ENVIRONMENT))
    exchange.receive(events.RequestHeaders(headers, False))
    (effect,) = exchange.receive(events.RequestBody(body, True))
    return effect


def test_a_good_signature_passes_and_the_attempt_is_signed_afresh(tmp_path):
    effect = sent(tmp_path, signed())
    assert isinstance(effect, events.ContinueBody)
    said = dict(effect.mutation.set)
    assert "Credential=AKIDPROVIDER/" in said["authorization"]
    assert said[":path"] == PATH
    assert "AKIDEXAMPLE000001" not in repr(effect)


@pytest.mark.parametrize(
    "headers",
    [
        signed(secret="wrong"),
        signed(identity="AKIDSOMEBODYELSE1"),
        signed(body=b"{}"),
        signed(**{":path": PATH.replace("converse", "converse-stream")}),
        signed(authorization="Bearer x"),
        signed(**{"x-amz-date": "20200101T000000Z"}),
        {":method": "POST", ":path": PATH, ":authority": "gateway", "content-type": "application/json"},
    ],
)
def test_anything_else_is_refused(tmp_path, headers):
    effect = sent(tmp_path, headers)
    assert isinstance(effect, events.Respond)
    assert effect.status == 403  # as at AWS
    assert b"message" in effect.body
    assert "x-amzn-errortype" in dict(effect.headers)


def test_without_keys_a_signature_is_only_dropped(tmp_path):
    exchange = RouterExchange(
        compiled(CONFIG.replace("gateway: {aws_keys: {AKIDEXAMPLE000001: env:CLIENT}}", ""), tmp_path, ENVIRONMENT)
    )
    exchange.receive(events.RequestHeaders(signed(secret="any", **{"x-amz-meta": "a@example.com"}), False))
    (effect,) = exchange.receive(events.RequestBody(BODY, True))
    assert isinstance(effect, events.ContinueBody)
    assert datetime.datetime.now(datetime.UTC).strftime("%Y%m%d") in dict(effect.mutation.set)["x-amz-date"]
