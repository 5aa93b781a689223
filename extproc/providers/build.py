"""From the configuration of a provider to its kind, place, headers and credential; every problem with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from extproc.config.load import Loaded
from extproc.config.provider import Provider
from extproc.errors import Problem
from extproc.providers.anthropic import Anthropic
from extproc.providers.api import Credential, Kind, Names, Pairs
from extproc.providers.azure import Azure
from extproc.providers.bedrock import Bedrock
from extproc.providers.gemini import Gemini
from extproc.providers.known import FIELDS, KNOWN, Known, type_of
from extproc.providers.openai import OpenAI
from extproc.providers.profile import ORGANIZATION, PROJECT, Profile, profile
from extproc.providers.quirks import NONE, QUIRKS
from extproc.providers.secrets import credential
from extproc.providers.vertex import Vertex
from extproc.providers.wrong import Wrong

_REGION: Final = re.compile(r"bedrock-runtime[a-z-]*\.([a-z0-9-]+)\.")


@dataclass(frozen=True, slots=True)
class Provided:
    """A provider, compiled.

    ``base``: the path part of its base URL, without a slash at the end. ``credential``: None where it needs none.
    ``resource``: the Azure resource that clients may name by header; empty if they may not.
    """

    name: str
    kind: Kind
    known: Known
    host: str
    port: int
    tls: bool
    base: str
    profile: Profile
    credential: Credential | None
    resource: str = ""


def provided(loaded: Loaded, problems: list[Problem]) -> dict[str, Provided]:
    """Every provider of a configuration that can be used, by name; ``problems`` gets what is wrong with the others."""
    found: dict[str, Provided] = {}
    for name, provider in loaded.config.providers.items():
        before = len(problems)
        for field, message in _misplaced(name, provider):
            problems.append(loaded.problem(("providers", name, field), message))
        try:
            made = _provided(loaded, name, provider)
        except Wrong as wrong:
            keys = ("providers", name, wrong.field) if wrong.field else ("providers", name)
            problems.append(loaded.problem(keys, str(wrong)))
            continue
        if same := next((each for each in found.values() if each.resource == made.resource != ""), None):
            message = f"the resource '{made.resource}' is already that of provider '{same.name}'"
            problems.append(loaded.problem(("providers", name, "azure_headers"), message))
        if len(problems) == before:
            found[name] = made
    return found


def _misplaced(name: str, provider: Provider) -> list[tuple[str, str]]:
    type_ = type_of(name, provider.type)
    return [
        (field, f"a provider of type {type_} takes no `{field}`: it is for {', '.join(sorted(FIELDS[field]))}")
        for field in sorted(provider.model_fields_set)
        if field in FIELDS and type_ not in FIELDS[field]
    ]


def _provided(loaded: Loaded, name: str, provider: Provider) -> Provided:
    type_ = type_of(name, provider.type)
    known = KNOWN.get(type_) or Known("")
    values = _values(type_, provider, loaded.environment)
    url, port = _url(provider.base_url or _filled(type_, known.base_url, values))
    kind = _kind(type_, provider, known, values)
    paid = credential(loaded, name, provider, known, _region(type_, provider, url, values))
    client_key = provider.keys == ["client"]
    owners: Pairs = ()
    if type_ != "vertex":
        pairs = ((ORGANIZATION, provider.organization), (PROJECT, provider.project))
        owners = tuple((header, value) for header, value in pairs if value)
    resource = provider.resource or str(url.hostname).partition(".")[0]
    tls = url.scheme == "https"
    return Provided(
        name=name,
        kind=kind,
        known=known,
        host=str(url.hostname),
        port=port or (443 if tls else 80),
        tls=tls,
        base=url.path.rstrip("/"),
        profile=profile(provider.headers, provider.remove, kind.passes, kind.defaults, owners, client_key=client_key),
        credential=paid,
        resource=resource.lower() if provider.azure_headers else "",
    )


# places


def _values(type_: str, provider: Provider, environment: Mapping[str, str]) -> dict[str, str]:
    """What stands for the names in a base URL, from the configuration or the usual variables; empty: nothing does."""
    if type_ == "vertex":
        project = provider.project or environment.get("GOOGLE_CLOUD_PROJECT", "")
        return {"location": provider.location or "global", "project": project}
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    return {"resource": provider.resource or "", "region": provider.region or region}


_MISSING: Final = {
    "azure": ("", "type azure needs the name of a `resource`, or a `base_url`"),
    "bedrock": ("", "type bedrock needs a `region`, or a `base_url`"),
}


def _filled(type_: str, template: str, values: Mapping[str, str]) -> str:
    if type_ == "vertex" and values["location"] in ("global", "us", "eu"):
        place = values["location"]
        return f"https://aiplatform.{'' if place == 'global' else f'{place}.rep.'}googleapis.com/v1"
    if any(f"{{{name}}}" in template and not value for name, value in values.items()):
        raise Wrong(*_MISSING[type_])
    return template.format(**values)


def _url(text: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise Wrong("base_url", f"is not a URL: {error}") from None
    if not url.hostname or url.query or url.fragment or url.username:
        raise Wrong("base_url", "needs a host, and no user, query or fragment")
    return url, port


def _region(type_: str, provider: Provider, url: SplitResult, values: Mapping[str, str]) -> str:
    if type_ != "bedrock":
        return ""
    found = _REGION.search(url.hostname or "")
    return provider.region or (found[1] if found else values["region"])


# kinds

_Maker = Callable[[Provider, Mapping[str, str]], Kind]
_MAKERS: Final[dict[str, _Maker]] = {
    "anthropic": lambda provider, values: Anthropic(Names(provider.names)),
    "gemini": lambda provider, values: Gemini(Names(provider.names)),
    "bedrock": lambda provider, values: Bedrock(Names(provider.names)),
    "azure": lambda provider, values: Azure(
        Names({**provider.names, **provider.deployments}), provider.api_version or ""
    ),
    "vertex": lambda provider, values: Vertex(Names(provider.names), values["project"], values["location"]),
}


def _kind(type_: str, provider: Provider, known: Known, values: Mapping[str, str]) -> Kind:
    if type_ == "vertex" and not values["project"]:
        raise Wrong("", "type vertex needs a `project`")
    if maker := _MAKERS.get(type_):
        return maker(provider, values)
    quirks = QUIRKS.get(type_, NONE)
    usage = provider.stream_usage
    return OpenAI(
        name=type_,
        formats=(*known.formats, *(each for each in provider.formats if each not in known.formats)),
        names=Names(provider.names),
        quirks=quirks,
        chat_path=provider.path or "",
        stream_usage=usage if usage is not None else "stream_options" not in quirks.implied,
    )
