"""Keys of AWS that botocore finds: profiles, containers, roles."""

import datetime
import time
import traceback
from urllib.parse import parse_qs

import pytest

from extproc.providers import aws
from extproc.providers.fetch import FetchError
from tests.e2e.upstream import respond
from tests.unit.providers.identity import SECRET, identity, run, says

__all__ = ["identity"]

ROLE = "arn:aws:iam::123456789012:role/llm"
UNTIL = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
ASSUMED = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
<Expiration>{UNTIL:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
DENIED = f"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>{SECRET}</Message></Error></ErrorResponse>"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Nothing of the machine these tests run on."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDEFAULT\naws_secret_access_key = d\n"
        f"[ml]\naws_access_key_id = AKIML\naws_secret_access_key = {SECRET}\naws_session_token = t\n"
    )
    (tmp_path / "config").write_text("")


def failure(chain):
    with pytest.raises(FetchError) as caught:
        run(chain.fetch(""))
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(chain)
    return str(caught.value)


def test_a_profile():
    token = run(aws.Chain("eu-west-1", "ml").fetch(""))
    assert token.parts == ("AKIML", SECRET, "t")
    assert 800 < token.expires - time.time() < 1000  # read again, should the file change


def test_a_profile_that_is_not_there():
    assert failure(aws.Chain("eu-west-1", "nobody")) == "botocore gave no keys (ProfileNotFound)"


def test_without_a_profile_the_usual_chain(monkeypatch):
    assert run(aws.Chain("eu-west-1").fetch("")).parts == ("AKIDEFAULT", "d")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "e")
    assert run(aws.Chain("eu-west-1").fetch("")).parts == ("AKIENV", "e")


def test_nothing_is_found(tmp_path):
    (tmp_path / "credentials").unlink()
    assert failure(aws.Chain("eu-west-1")) == "botocore finds no keys here"


def test_a_containers_keys_end(identity, monkeypatch, tmp_path):
    (tmp_path / "credentials").unlink()
    said = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t", "Expiration": f"{UNTIL:%Y-%m-%dT%H:%M:%SZ}"}
    service = identity(says(said))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{service.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", SECRET)
    token = run(aws.Chain("eu-west-1").fetch(""))
    assert token.parts == ("ASIA", "s", "t")
    assert token.expires == UNTIL.timestamp()
    (request,) = service.requests
    assert (request.target, request.header("authorization")) == ("/v1/credentials", SECRET)


@pytest.mark.parametrize(("keys", "signer"), [((), "AKIDEFAULT"), (("AKIKEYS", SECRET), "AKIKEYS")])
def test_a_role(identity, keys, signer):
    service = identity(respond(200, ASSUMED.encode(), [("content-type", "text/xml")]))
    chain = aws.Chain("eu-west-1", "", ROLE, keys, service.url)
    token = run(chain.fetch(""))
    assert token.parts == ("ASIAROLE", "role-secret", "role-token")
    assert token.expires == UNTIL.timestamp()
    (request,) = service.requests
    form = parse_qs(request.body.decode())
    assert (form["Action"], form["RoleArn"], form["RoleSessionName"]) == (["AssumeRole"], [ROLE], ["llm-extproc"])
    assert f"Credential={signer}/" in request.header("authorization")
    assert "/eu-west-1/sts/aws4_request" in request.header("authorization")


def test_a_role_that_is_denied(identity):
    service = identity(respond(403, DENIED.encode(), [("content-type", "text/xml")]))
    assert failure(aws.Chain("eu-west-1", "", ROLE, (), service.url)) == "botocore gave no keys (ClientError)"


def test_botocore_is_looked_for_without_importing_it(monkeypatch):
    assert aws.installed()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not aws.installed()
