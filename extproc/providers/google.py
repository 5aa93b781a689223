"""Tokens of Google Cloud: a service account's, a user's, or the metadata server's.

Sources: "Using OAuth 2.0 for server to server applications" (a JWT signed RS256 is exchanged at ``token_uri``), RFC 7523,
"Application default credentials" (the two kinds of file), Compute Engine's "access tokens" of the metadata server.

Google's own library would do the same with three more packages and blocking calls; a JWT is thirty lines, with what we
have for certificates and for HTTP anyway.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from extproc.errors import DecodeError
from extproc.framing.jsontext import dump, parse
from extproc.providers.credentials import Source, Token
from extproc.providers.fetch import ask, token

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_URI: Final = "https://oauth2.googleapis.com/token"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_METADATA: Final = "metadata.google.internal"
_LIFETIME: Final = 3600


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account with its private key (PEM)."""

    email: str
    key_id: str
    uri: str
    key: str = field(repr=False)

    def assertion(self, now: int) -> str:
        """The signed claim to be this account, at a Unix time."""
        claims = {"iss": self.email, "scope": _SCOPE, "aud": self.uri, "iat": now, "exp": now + _LIFETIME}
        head = {"alg": "RS256", "typ": "JWT", **({"kid": self.key_id} if self.key_id else {})}
        text = f"{_encoded(dump(head))}.{_encoded(dump(claims))}"
        return f"{text}.{_encoded(_private(self.key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    async def fetch(self, ca: str) -> Token:
        """See ``Source``."""
        form = {"grant_type": _GRANT, "assertion": self.assertion(int(time.time()))}
        return token(await ask("POST", self.uri, ca=ca, form=form))


@dataclass(frozen=True, slots=True)
class User:
    """What ``gcloud auth application-default login`` leaves."""

    client: str
    uri: str
    secret: str = field(repr=False)
    refresh: str = field(repr=False)

    async def fetch(self, ca: str) -> Token:
        """See ``Source``."""
        form = {"grant_type": "refresh_token", "client_id": self.client, "client_secret": self.secret}
        return token(await ask("POST", self.uri, ca=ca, form={**form, "refresh_token": self.refresh}))


@dataclass(frozen=True, slots=True)
class Machine:
    """The service account of a machine or pod."""

    host: str = _METADATA

    async def fetch(self, ca: str) -> Token:
        """See ``Source``."""
        url = f"http://{self.host}/computeMetadata/v1/instance/service-accounts/default/token"
        return token(await ask("GET", url, ca=ca, headers={"metadata-flavor": "Google"}))


def machine(environment: Mapping[str, str]) -> Source:
    """The metadata server; ``GCE_METADATA_HOST`` may name another one."""
    return Machine(environment.get("GCE_METADATA_HOST") or _METADATA)


def from_file(text: str) -> Source:
    """What a credential file says.

    Raises:
        ValueError: it is not such a file, or one of a kind we do not know; nothing of it is quoted.
    """
    try:
        found = parse(text.encode())
    except DecodeError:
        found = None
    kind = found.get("type") if isinstance(found, dict) else None
    if kind == "service_account":
        key = _text(found, "private_key")
        _private(key)
        return ServiceAccount(_text(found, "client_email"), found.get("private_key_id") or "", _uri(found), key)
    if kind == "authorized_user":
        secret, refresh = _text(found, "client_secret"), _text(found, "refresh_token")
        return User(_text(found, "client_id"), _uri(found), secret, refresh)
    raise ValueError("is not a Google credential file of type service_account or authorized_user")


def _uri(found: dict[str, Any]) -> str:
    return _text(found, "token_uri") if "token_uri" in found else _URI


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"has no {name}")
    return value


def _private(pem: str) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("has no private_key that can be read")
    return key


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
