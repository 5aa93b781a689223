"""What SDK clients read from their environment: where to send requests, whom to trust, and a key that is none.

Sources: the SDKs' own documentation of ``OPENAI_BASE_URL`` (``OPENAI_API_BASE`` before version 1), ``ANTHROPIC_BASE_URL``,
``GOOGLE_GEMINI_BASE_URL`` and AWS's service-specific endpoint variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from extproc.config.load import Loaded
from extproc.config.references import UNUSED, variable
from extproc.locked import put
from extproc.providers.known import KNOWN, type_of
from extproc.runtime import Runtime

_KEYS: Final = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
_OTHER_KEYS: Final = frozenset({"ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY"})
"""What SDKs read besides the variables of ``known``, and prefer to them."""
_BEDROCK_KEY: Final = "AWS_BEARER_TOKEN_BEDROCK"
_AWS: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
_AWS_FILES: Final = {"AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials", "AWS_CONFIG_FILE": ".aws/config"}
_AWS_WORDS: Final = ("aws_access_key_id", "credential_", "sso_", "role_arn", "login_session")
"""Any of these, and AWS's SDKs have something to sign with (botocore's documentation of credentials)."""
_TRUST: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Reach:
    """How clients on this machine reach a gateway.

    ``url`` has no path. ``bundle`` is a file of certificate authorities, ours among them; empty where none is needed.
    ``signed``: requests in Bedrock's API have to be signed with a real key.
    """

    url: str
    bundle: str = ""
    signed: bool = False


def root(runtime: Runtime, listeners: Mapping[str, int]) -> str:
    """The gateway's URL without a path: on loopback without TLS if it listens there, else as it can be reached.

    Args:
        runtime: the configuration.
        listeners: ports by listener name.
    """
    if "plain" in listeners:
        return f"http://127.0.0.1:{listeners['plain']}"
    gateway = runtime.config.gateway
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gateway.address, gateway.address)  # noqa: S104
    if gateway.tls == "none":
        scheme = "http"
    else:
        scheme, host = "https", "localhost" if host == "127.0.0.1" else host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listeners['main']}"


def write_bundle(path: Path, system: str, ca: Path) -> str:
    """Write the authorities of the system and ours into one file, as such variables replace the system's; its path."""
    usual = Path(system).read_bytes().rstrip(b"\n") if system else b""
    ours = ca.read_bytes()
    put(
        path, usual + b"\n" if ours.strip() in usual else usual + b"\n" + ours
    )  # where one of our bundles is the system's
    return str(path)


def environment_of(reach: Reach, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process whose SDKs use the gateway, made from another."""
    changed: dict[str, str | None] = {**environment, **variables(reach, environment)}
    return {name: value for name, value in changed.items() if value is not None}


def variables(reach: Reach, environment: Mapping[str, str]) -> dict[str, str | None]:
    """What to change in ``environment`` so that SDKs use the gateway; None for what has to go."""
    found: dict[str, str | None] = {
        "OPENAI_BASE_URL": f"{reach.url}/v1",
        "OPENAI_API_BASE": f"{reach.url}/v1",
        "ANTHROPIC_BASE_URL": reach.url,
        "GOOGLE_GEMINI_BASE_URL": reach.url,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": reach.url,
    }
    if reach.bundle:
        found |= dict.fromkeys(_TRUST, reach.bundle)
    found |= {name: UNUSED for name in _KEYS if not environment.get(name) and not _another(name, environment)}
    return found | _aws(reach, environment) | _past_proxies(reach, environment)


def _another(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the SDK has its key from another variable; with two, it would warn or send both."""
    other = {"ANTHROPIC_API_KEY": "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY": "GOOGLE_API_KEY"}.get(name, "")
    return bool(environment.get(other))


def _aws(reach: Reach, environment: Mapping[str, str]) -> dict[str, str | None]:
    """A key for Bedrock's API where there is none, and none of a kind that cannot be used: botocore wants TLS for bearers."""
    bearer = bool(environment.get(_BEDROCK_KEY))
    if reach.url.startswith("https:") and not reach.signed:
        return {} if bearer or _signs(environment) else {_BEDROCK_KEY: UNUSED}
    found: dict[str, str | None] = {_BEDROCK_KEY: None} if bearer else {}
    if not reach.signed and not _signs(environment):
        found |= {"AWS_ACCESS_KEY_ID": UNUSED, "AWS_SECRET_ACCESS_KEY": UNUSED}
    return found


def _signs(environment: Mapping[str, str]) -> bool:
    if any(environment.get(name) for name in _AWS):
        return True
    for name, usual in _AWS_FILES.items():
        path = Path(environment.get(name) or Path(environment.get("HOME") or "/") / usual)
        with suppress(OSError):
            text = path.read_text("utf-8", "replace")
            if any(word in text for word in _AWS_WORDS):
                return True
    return False


def _past_proxies(reach: Reach, environment: Mapping[str, str]) -> dict[str, str]:
    """A proxy cannot reach this machine's loopback."""
    if not any(environment.get(each) or environment.get(each.upper()) for each in _PROXIES):
        return {}
    before = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    host = reach.url.partition("://")[2].rpartition(":")[0].strip("[]")
    return dict.fromkeys(("no_proxy", "NO_PROXY"), f"{before},{host}" if before else host)


# keys


def provider_keys(loaded: Loaded) -> frozenset[str]:
    """Variables with keys that must not be in a client's environment: with one it could go round the gateway.

    Those are the keys the gateway itself uses, and, unless clients bring their own, those of every provider we know.
    """
    providers = loaded.config.providers
    found = set(_named(loaded.source.tree))
    for name, provider in providers.items():
        known = KNOWN.get(type_of(name, provider.type))
        if provider.keys is None and known:
            found.add(known.variable)
    if not any(each.keys == ["client"] for each in providers.values()):
        found |= _OTHER_KEYS | {each.variable for each in KNOWN.values()}
    return frozenset(found - {""})


def _named(value: Any) -> Iterator[str]:
    """The variables that ``keys`` and ``key`` refer to, wherever they stand."""
    for name, child in value.items() if isinstance(value, dict) else ():
        if name in ("keys", "key"):
            references = child if isinstance(child, list) else [child]
            yield from filter(None, (variable(each) for each in references if isinstance(each, str)))
        else:
            yield from _named(child)
    for child in value if isinstance(value, list) else ():
        yield from _named(child)
