"""Tokens of Microsoft Entra ID for Azure OpenAI: an application's secret, or the identity of a machine or pod.

Sources: Microsoft identity platform, "client credentials flow" (secret, and federated credential); "managed identities: get a
token over HTTP" (virtual machines, App Service); AKS "workload identity" (its environment variables).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from extproc.providers.credentials import Source, Token
from extproc.providers.fetch import FetchError, ask, token

AUTHORITY: Final = "https://login.microsoftonline.com"
_RESOURCE: Final = "https://cognitiveservices.azure.com"
_MACHINE: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
_JWT: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Application:
    """An application with a secret."""

    authority: str
    tenant: str
    client: str
    secret: str = field(repr=False)

    async def fetch(self, ca: str) -> Token:
        """See ``Source``."""
        return await _granted(self.authority, self.tenant, self.client, {"client_secret": self.secret}, ca)


@dataclass(frozen=True, slots=True)
class Federated:
    """An application that another issuer's token stands for, in a file that is renewed."""

    authority: str
    tenant: str
    client: str
    file: Path

    async def fetch(self, ca: str) -> Token:
        """See ``Source``."""
        try:
            assertion = (await asyncio.to_thread(self.file.read_text, "utf-8")).strip()
        except (OSError, UnicodeDecodeError):
            raise FetchError(f"the file {self.file} cannot be read") from None
        said = {"client_assertion_type": _JWT, "client_assertion": assertion}
        return await _granted(self.authority, self.tenant, self.client, said, ca)


@dataclass(frozen=True, slots=True)
class Machine:
    """The managed identity of a virtual machine or, with ``secret``, of an App Service. ``client``: which, if it has many."""

    client: str
    url: str = _MACHINE
    secret: str = field(default="", repr=False)

    async def fetch(self, ca: str) -> Token:
        """See ``Source``."""
        version = "2019-08-01" if self.secret else "2018-02-01"
        query = {"api-version": version, "resource": _RESOURCE} | ({"client_id": self.client} if self.client else {})
        headers = {"x-identity-header": self.secret} if self.secret else {"metadata": "true"}
        return token(await ask("GET", f"{self.url}?{urlencode(query)}", ca=ca, headers=headers))


async def _granted(authority: str, tenant: str, client: str, proof: Mapping[str, str], ca: str) -> Token:
    form = {"grant_type": "client_credentials", "client_id": client, "scope": f"{_RESOURCE}/.default", **proof}
    return token(await ask("POST", f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token", ca=ca, form=form))


def machine(client: str, environment: Mapping[str, str]) -> Source:
    """The identity that the surroundings give: a pod's, an App Service's, else the virtual machine's."""
    file, tenant = environment.get("AZURE_FEDERATED_TOKEN_FILE"), environment.get("AZURE_TENANT_ID")
    pod = client or environment.get("AZURE_CLIENT_ID", "")
    if file and tenant and pod:
        return Federated(environment.get("AZURE_AUTHORITY_HOST") or AUTHORITY, tenant, pod, Path(file))
    if (url := environment.get("IDENTITY_ENDPOINT")) and (secret := environment.get("IDENTITY_HEADER")):
        return Machine(client, url, secret)
    return Machine(client)
