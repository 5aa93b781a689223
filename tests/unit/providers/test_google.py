"""Google's service accounts: claims that a stranger can verify."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from extproc.framing.jsontext import dump, parse
from extproc.providers import google
from tests.unit.providers.identity import granted, identity, run

__all__ = ["identity"]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def account(**changes):
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k-1",
        "private_key": pem(KEY),
        "client_email": "me@p.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    } | changes


def decoded(part):
    assert "=" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verified(assertion):
    """Head and claims of a JWT that is signed with KEY."""
    head, claims, signature = assertion.split(".")
    KEY.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return parse(decoded(head)), parse(decoded(claims))


def test_an_assertion_is_a_jwt(identity):
    source = google.from_file(dump(account()).decode())
    head, claims = verified(source.assertion(1_700_000_000))
    assert head == {"alg": "RS256", "typ": "JWT", "kid": "k-1"}
    assert claims == {
        "iss": "me@p.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    text, later = source.assertion(1_700_000_000), source.assertion(1_700_000_001)
    forged = f"{text.rpartition('.')[0]}.{later.rpartition('.')[2]}"
    with pytest.raises(InvalidSignature):
        verified(forged)


def test_it_is_exchanged_for_a_token(identity):
    service = identity(granted("ya29.x"))
    source = google.from_file(dump(account(token_uri=f"{service.url}/token")).decode())
    assert run(source.fetch("")).parts == ("ya29.x",)
    (form,) = service.forms
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert verified(form["assertion"])[1]["aud"] == f"{service.url}/token"


def test_a_key_shows_in_no_repr():
    source = google.from_file(dump(account()).decode())
    assert "PRIVATE KEY" not in repr(source)
    assert source == google.from_file(dump(account()).decode())
    assert hash(source) == hash(google.from_file(dump(account()).decode()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a Google credential file"),
        ("[]", "is not a Google credential file"),
        ('{"type": "external_account"}', "of type service_account or authorized_user"),
        (dump(account(private_key="-----BEGIN PRIVATE KEY-----\nAAAA\n")).decode(), "has no private_key that can be"),
        (dump(account(private_key=7)).decode(), "has no private_key"),
        (dump(account(private_key=pem(ec.generate_private_key(ec.SECP256R1())))).decode(), "has no private_key that"),
        (dump(account(client_email="")).decode(), "has no client_email"),
        (dump(account(token_uri=None)).decode(), "has no token_uri"),
        ('{"type": "authorized_user", "client_id": "c"}', "has no client_secret"),
    ],
)
def test_what_is_no_credential_file(text, said):
    with pytest.raises(ValueError, match=said):
        google.from_file(text)
