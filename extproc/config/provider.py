"""What the configuration says of one provider. Which type takes which field is data (``providers.known.FIELDS``)."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator

from extproc.config.strict import Strict
from extproc.providers.known import ADDABLE, TYPES
from extproc.providers.profile import wrong

_Place = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
_AUTHORITY: Final = re.compile(r"(https://[^/?#@]+|http://127\.0\.0\.1(:\d+)?)(/[^?#]*)?", re.ASCII)
_Model = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


def listed(value: object) -> object:
    """One text where a list is meant."""
    return [value] if isinstance(value, str) else value


class Entra(Strict):
    """An application of Microsoft Entra ID. Its secret is the provider's one key (`keys: env:SECRET`)."""

    tenant: _Id = Field(description="the directory's id, or its domain")
    client: _Id = Field(description="the application's (client) id")
    authority: str = Field(
        "https://login.microsoftonline.com", description="who gives tokens; other clouds have another address"
    )

    @field_validator("authority")
    @classmethod
    def _url(cls, value: str) -> str:
        if not _AUTHORITY.fullmatch(value):
            raise ValueError("must begin with https://, and have no query")
        return value


class Provider(Strict):
    """Where models live. A known name brings its base URL and how it is authenticated."""

    type: Literal[TYPES] | None = Field(None, description="absent: the provider's own name")  # type: ignore[valid-type]
    base_url: str | None = Field(None, description="what you would give an SDK, usually ending in /v1")
    keys: Annotated[list[str], BeforeValidator(listed)] | None = Field(
        None,
        description="references (`env:X`, `file:P`) to keys that are used in turn; `none` for a server without one; "
        "`client` passes the client's own key through. bedrock: one API key, or access key id, secret and maybe session "
        "token; vertex: a credential file; azure with `entra`: the application's secret",
    )
    path: Annotated[str, StringConstraints(pattern=r"^/\S*$")] | None = Field(
        None, description="path of the chat operation below base_url; default /chat/completions"
    )
    names: dict[str, _Model] = Field(
        {}, description="what this provider calls models: the name asked for to its own; `*` for all others"
    )
    headers: dict[str, Annotated[list[str], BeforeValidator(listed)]] = Field(
        {}, description="request headers to set; of a list, one in turn. Not for keys"
    )
    remove: Annotated[list[str], BeforeValidator(listed)] = Field(
        [], description="request headers that must not reach this provider, though others may get them"
    )
    formats: list[Literal[ADDABLE]] = Field(  # type: ignore[valid-type]
        [],
        description="openai-compatible, ollama, vllm: what the server speaks besides chat, completions and embeddings",
    )
    stream_usage: bool | None = Field(
        None,
        description="OpenAI-shaped: whether streams are asked for usage; false for servers that refuse `stream_options`",
    )
    organization: _Id | None = Field(
        None, description="openai: whom the keys belong to; clients cannot say it for them"
    )
    project: _Id | None = Field(None, description="openai: the keys' project; vertex: the Google Cloud project")
    resource: _Place | None = Field(None, description="azure: name of the resource, as in RESOURCE.openai.azure.com")
    deployments: dict[str, _Model] = Field(
        {},
        description="azure: models to deployments; `*` for all others. A model that is not here is its own deployment",
    )
    api_version: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")] | None = Field(
        None, description="azure: version of the classic API, as in 2024-10-21; absent: the v1 API, which needs none"
    )
    entra: Entra | None = Field(None, description="azure: authenticate with tokens of Microsoft Entra ID")
    azure_headers: bool = Field(
        False, description="azure: clients may choose this resource, and its deployment, by `x-llm-azure-*` headers"
    )
    machine: bool | _Id = Field(
        False,
        description="azure, bedrock, vertex: authenticate as the machine or pod; azure: or the client id of its identity",
    )
    region: _Place | None = Field(None, description="bedrock: as in eu-central-1; absent: AWS_REGION")
    profile: _Id | None = Field(
        None, description="bedrock: a profile of AWS's own configuration files (needs botocore)"
    )
    role: Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/\S+$")] | None = Field(
        None, description="bedrock: ARN of a role to assume, with whatever else is configured (needs botocore)"
    )
    location: _Place | None = Field(None, description="vertex: as in europe-west4, us, eu; default: global")

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        if problem := next((problem for name, each in value.items() if (problem := wrong(name, each))), None):
            raise ValueError(problem)
        return value

    @field_validator("remove")
    @classmethod
    def _removed(cls, value: list[str]) -> list[str]:
        if problem := next((problem for name in value if (problem := wrong(name, ["x"]))), None):
            raise ValueError(problem)
        return value
