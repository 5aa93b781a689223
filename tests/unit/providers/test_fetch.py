"""Identity services: what they are asked, and what becomes of their answers."""

import time
import traceback
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from extproc.framing.jsontext import dump
from extproc.providers import entra, google
from extproc.providers.fetch import FetchError
from tests.e2e.upstream import chunked, raw, respond
from tests.unit.providers.identity import SECRET, granted, identity, run, says

__all__ = ["identity"]


def fetched(source, ca=""):
    return run(source.fetch(ca))


def application(service):
    return entra.Application(service.url, "tenant-1", "client-1", SECRET)


def lifetime(token):
    return token.expires - time.time()


def test_an_applications_secret(identity):
    service = identity(granted("tok-1", expires_in=3599))
    token = fetched(application(service))
    assert token.parts == ("tok-1",)
    assert 3590 < lifetime(token) < 3600
    (request,) = service.requests
    assert (request.method, request.target) == ("POST", "/tenant-1/oauth2/v2.0/token")
    assert request.header("content-type") == "application/x-www-form-urlencoded"
    assert service.forms == [
        {
            "grant_type": "client_credentials",
            "client_id": "client-1",
            "client_secret": SECRET,
            "scope": "https://cognitiveservices.azure.com/.default",
        }
    ]


def test_a_pods_federated_token_is_read_each_time(identity, tmp_path):
    service = identity(granted())
    file = tmp_path / "token"
    environment = {
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_TENANT_ID": "t",
        "AZURE_CLIENT_ID": "c",
        "AZURE_AUTHORITY_HOST": f"{service.url}/",
    }
    source = entra.machine("", environment)
    for text in ("first\n", "second"):
        file.write_text(text)
        fetched(source)
    assert [each["client_assertion"] for each in service.forms] == ["first", "second"]
    assert {each["client_assertion_type"] for each in service.forms} == {
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    }
    assert service.requests[0].target == "/t/oauth2/v2.0/token"
    file.unlink()
    with pytest.raises(FetchError, match="cannot be read"):
        fetched(source)


def query(request):
    return {name: value for name, (value,) in parse_qs(urlsplit(request.target).query).items()}


def test_an_app_services_identity(identity):
    until = str(int(time.time()) + 1000)
    service = identity(says({"access_token": "tok", "expires_on": until, "token_type": "Bearer"}))
    source = entra.machine("mine", {"IDENTITY_ENDPOINT": f"{service.url}/msi/token", "IDENTITY_HEADER": SECRET})
    assert 990 < lifetime(fetched(source)) < 1001
    (request,) = service.requests
    assert request.header("x-identity-header") == SECRET
    assert request.header("metadata") is None
    assert query(request) == {
        "api-version": "2019-08-01",
        "resource": "https://cognitiveservices.azure.com",
        "client_id": "mine",
    }
    assert SECRET not in repr(source)


def test_a_machines_identity(identity):
    service = identity(granted(expires_in="86399"))
    assert entra.machine("", {}) == entra.Machine("")
    assert entra.Machine("").url == "http://169.254.169.254/metadata/identity/oauth2/token"
    assert lifetime(fetched(entra.Machine("", f"{service.url}/metadata"))) > 86000
    (request,) = service.requests
    assert (request.method, request.header("metadata")) == ("GET", "true")
    assert query(request) == {"api-version": "2018-02-01", "resource": "https://cognitiveservices.azure.com"}


def test_googles_metadata_server(identity):
    service = identity(granted(expires_in=299))
    source = google.machine({"GCE_METADATA_HOST": f"127.0.0.1:{service.port}"})
    assert fetched(source).parts == ("tok-1",)
    (request,) = service.requests
    assert request.target == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert request.header("metadata-flavor") == "Google"
    assert google.machine({}) == google.Machine("metadata.google.internal")


def test_a_users_file(identity):
    service = identity(granted())
    file = {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": SECRET,
        "token_uri": f"{service.url}/token",
    }
    source = google.from_file(dump(file).decode())
    fetched(source)
    assert service.forms == [
        {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": SECRET}
    ]
    assert SECRET not in repr(source)


GOOD = {"access_token": "t", "expires_in": 10}


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (says({"error": "invalid_client", "error_description": SECRET}, 401), "answered 401 (invalid_client)"),
        (says({"error": SECRET}, 400), "answered 400"),
        (says({"error": {"message": SECRET}}, 403), "answered 403"),
        (respond(500, SECRET.encode()), "answered 500"),
        (respond(302, b"", [("location", "http://127.0.0.1:1/")]), "answered 302"),
        (respond(200, b'{"access_token": "'), "not what it should be"),
        (respond(200, b"[]"), "not what it should be"),
        (says({}), "not what it should be"),
        (says(GOOD | {"access_token": 7}), "not what it should be"),
        (says(GOOD | {"access_token": ""}), "not what it should be"),
        (says(GOOD | {"access_token": f"{SECRET}\n"}), "not what it should be"),
        (says(GOOD | {"access_token": "t\u00fc"}), "not what it should be"),
        (says(GOOD | {"expires_in": 0}), "not what it should be"),
        (says(GOOD | {"expires_in": -5}), "not what it should be"),
        (says(GOOD | {"expires_in": "soon"}), "not what it should be"),
        (says(GOOD | {"expires_in": True}), "not what it should be"),
        (says(GOOD | {"expires_in": "nan"}), "not what it should be"),
        (says(GOOD | {"expires_in": "inf"}), "not what it should be"),
        (says({"access_token": "t"}), "not what it should be"),
        (chunked(200, [b"x" * 300_000] * 4), "not what it should be"),
        (raw(b"garbage\r\n\r\n", then="close"), "cannot be reached"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{", then="reset"), "cannot be reached"),
    ],
)
def test_what_is_no_token_is_said_without_secrets(identity, behaviour, said):
    source = application(identity(behaviour))
    with pytest.raises(FetchError) as caught:
        fetched(source)
    assert said in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + repr(source)
    assert SECRET not in shown
    assert caught.value.__context__ is None


def test_nobody_is_there(identity):
    service = identity(granted())
    service.stop()
    with pytest.raises(FetchError, match="cannot be reached"):
        fetched(application(service))
    with pytest.raises(FetchError, match="cannot be reached"):
        fetched(application(service), str(Path(__file__)))  # not a bundle
    service.stop = lambda: None
