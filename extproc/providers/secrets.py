"""Credentials from references: what ``keys`` and the fields beside it mean for each type of provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from extproc.config.load import Loaded
from extproc.config.provider import Provider
from extproc.config.references import UnresolvedError, is_reference, resolve
from extproc.providers import aws, entra, google
from extproc.providers.api import Credential
from extproc.providers.credentials import Bearer, ClientKey, Held, Keys, Source, static, temporary
from extproc.providers.known import Known, type_of
from extproc.providers.wrong import Wrong

_GOOGLE_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_NO_BOTOCORE: Final = "needs botocore: pip install 'llm-extproc[aws]'"


def credential(loaded: Loaded, name: str, provider: Provider, known: Known, region: str) -> Credential | None:
    """A provider's credential; None where it needs none.

    Args:
        loaded: what references are resolved in.
        name: of the provider.
        provider: as configured.
        known: what its type brings along.
        region: bedrock's; empty if nothing says it.

    Raises:
        Wrong: there is none, or what is configured does not fit together.
    """
    if provider.keys == ["none"]:
        _no_more(provider)
        return None
    if provider.keys == ["client"]:
        _no_more(provider)
        return ClientKey(known.auth_header, known.auth_prefix)
    special: dict[str, Callable[[], Credential | None]] = {
        "azure": lambda: _azure(loaded, name, provider),
        "bedrock": lambda: _bedrock(loaded, name, provider, region),
        "vertex": lambda: _vertex(loaded, name, provider),
    }
    type_ = type_of(name, provider.type)
    found = special[type_]() if type_ in special else None
    if found:
        return found
    named = provider.keys if provider.keys is not None else [f"env:{known.variable}"] if known.variable else []
    values = tuple(_key(loaded, each) for each in named)
    return Keys(known.auth_header, known.auth_prefix, values) if values else None


def _no_more(provider: Provider) -> None:
    for field in ("entra", "machine", "profile", "role"):
        if getattr(provider, field):
            raise Wrong(field, f"does not go with `keys: {(provider.keys or [''])[0]}`")


def _key(loaded: Loaded, reference: str) -> str:
    value = _secret(loaded, reference)
    if not value.isascii() or not value.isprintable() or not value or " " in value:
        raise Wrong("keys", f"what {reference} holds does not look like a key")
    return value


def _secret(loaded: Loaded, reference: str) -> str:
    if not is_reference(reference):
        raise Wrong("keys", "a key must be a reference (env:NAME or file:PATH), not the key itself")
    try:
        return resolve(reference, loaded.environment, loaded.folder)
    except UnresolvedError as error:
        raise Wrong("keys", str(error)) from None


def _azure(loaded: Loaded, name: str, provider: Provider) -> Credential | None:
    if provider.machine:
        _alone(provider, "machine", ("keys", "entra"))
        client = provider.machine if isinstance(provider.machine, str) else ""
        return Bearer(Held(name, entra.machine(client, loaded.environment)))
    if provider.entra is None:
        return None
    if len(provider.keys or ()) != 1:
        raise Wrong("entra", "needs one key: the application's secret (`keys: env:NAME`)")
    asked = provider.entra
    secret = _secret(loaded, (provider.keys or [""])[0])
    return Bearer(Held(name, entra.Application(asked.authority, asked.tenant, asked.client, secret)))


def _bedrock(loaded: Loaded, name: str, provider: Provider, region: str) -> Credential | None:
    if provider.machine and not isinstance(provider.machine, bool):
        raise Wrong("machine", "is true or false with type bedrock")
    if provider.profile:
        _alone(provider, "profile", ("keys", "machine"))
    if provider.machine:
        _alone(provider, "machine", ("keys",))
    keys = tuple(_key(loaded, each) for each in provider.keys or ())
    if len(keys) > 3:
        raise Wrong("keys", "are one API key, or access key id, secret and maybe session token")
    if len(keys) == 1 and provider.role:
        raise Wrong("role", "cannot be assumed with an API key: `keys` must be access key id and secret")
    fetched = provider.machine or provider.profile or provider.role
    if not fetched and len(keys) < 2:
        if provider.keys is None and not loaded.environment.get("AWS_BEARER_TOKEN_BEDROCK"):
            raise Wrong("", "type bedrock needs `keys`, a `profile`, a `role`, or `machine: true`")
        return None  # an API key is a key like others
    if not region:
        raise Wrong("", "to sign requests, type bedrock needs a `region`")
    if not fetched:
        return static(keys, region)
    if not aws.installed():
        raise Wrong("role" if provider.role else "profile" if provider.profile else "machine", _NO_BOTOCORE)
    return temporary(Held(name, aws.Chain(region, provider.profile or "", provider.role or "", keys)), region)


def _vertex(loaded: Loaded, name: str, provider: Provider) -> Credential:
    if provider.machine:
        if not isinstance(provider.machine, bool):
            raise Wrong("machine", "is true or false with type vertex")
        _alone(provider, "machine", ("keys",))
        return Bearer(Held(name, google.machine(loaded.environment)))
    file = loaded.environment.get(_GOOGLE_FILE)
    named = provider.keys or ([f"file:{file}"] if file else [])
    if len(named) != 1:
        raise Wrong("keys" if named else "", "type vertex needs one key, a Google credential file, or `machine: true`")
    try:
        source: Source = google.from_file(_secret(loaded, named[0]))
    except ValueError as error:
        raise Wrong("keys", f"what {named[0]} holds {error}") from None
    return Bearer(Held(name, source))


def _alone(provider: Provider, field: str, others: tuple[str, ...]) -> None:
    for each in others:
        if getattr(provider, each):
            raise Wrong(field, f"does not go with `{each}`")
