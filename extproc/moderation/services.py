"""What there is to know of each service before it is asked: where it is, what it needs, and whether it gives places."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from extproc.config.references import UnresolvedError, is_reference, resolve
from extproc.errors import ConfigError
from extproc.moderation.api import Moderation, Service
from extproc.moderation.client import Service as Single

OPENAI: Final = "https://api.openai.com/v1"
REDACTS: Final = "redact needs a service that says where it found something, `phase: request` and `wait: before`"
_GUARDRAIL: Final = re.compile(
    r"([a-z0-9]+|arn:aws[^:]*:bedrock:[a-z0-9-]+:[0-9]{12}:guardrail/[a-z0-9]+)/(DRAFT|[1-9][0-9]{0,7})"
)
_REGION: Final = re.compile(r"bedrock-runtime[a-z-]*\.([a-z0-9-]+)\.")


@dataclass(frozen=True, slots=True)
class Known:
    """A service.

    Args:
        maker: the class in the module of its name that makes the calls.
        url: where it is unless the configuration says otherwise; empty: it must say.
        variable: the environment variable with the key for that place.
        schemes: of its addresses.
        places: whether it says where what it found stands.
        model: pattern of a model it must be given; None: it needs none.
        categories: all it has; empty: any.
    """

    maker: str
    url: str = ""
    variable: str = ""
    schemes: tuple[str, ...] = ("https", "http")
    places: bool = False
    model: re.Pattern[str] | None = None
    categories: frozenset[str] = frozenset()


KNOWN: Final[dict[Service, Known]] = {
    "openai": Known("OpenAI", OPENAI, "OPENAI_API_KEY"),
    "judge": Known("Judge", OPENAI, "OPENAI_API_KEY", model=re.compile(r"\S+")),
    "grpc": Known("Grpc", schemes=("grpcs", "grpc", "unix"), places=True),
    "webhook": Known("Webhook", places=True, categories=frozenset({"blocked", "intervened"})),
    "presidio": Known("Presidio", places=True),
    "bedrock": Known("Bedrock", places=True, model=_GUARDRAIL),
    "azure": Known("Azure", categories=frozenset({"hate", "self-harm", "sexual", "violence"})),
}


def load(service: Service) -> Callable[[Moderation], Single]:
    """What makes the calls of a service. Its libraries are loaded now: most processes need none of them."""
    module = import_module(f"extproc.moderation.{service}")
    made: Callable[[Moderation], Single] = getattr(module, KNOWN[service].maker)
    return made


def problem(service: Service, url: str, model: str, categories: Sequence[str]) -> str | None:
    """What is wrong with a description, if something is."""
    known = KNOWN[service]
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError:
        return "`url` is not a URL"
    plain = not (parts.username or parts.query or parts.fragment)
    if parts.scheme not in known.schemes or not plain or not (parts.path if parts.scheme == "unix" else parts.hostname):
        return f"service {service} needs a `url` that begins with {' or '.join(f'{each}:' for each in known.schemes)}"
    if known.model and not known.model.fullmatch(model):
        return f"service {service} needs a `model`" + (": GUARDRAIL/VERSION" if service == "bedrock" else "")
    unknown = sorted(set(categories) - known.categories) if known.categories else []
    if unknown:
        return f"service {service} has no category '{unknown[0]}'; it has {', '.join(sorted(known.categories))}"
    return None


def region(url: str) -> str:
    """The region in an address of Bedrock (``bedrock-runtime.REGION.…``); empty if there is none."""
    found = _REGION.search(urlsplit(url).hostname or "")
    return found[1] if found else ""


def keys(
    service: Service, names: Sequence[str] | None, url: str, environment: Mapping[str, str], folder: Path
) -> tuple[str, ...]:
    """The keys that references lead to. None means the usual variable at the usual place, and no key elsewhere.

    Raises:
        ConfigError: a key is not a reference, or there are too many or too few.
        UnresolvedError: a reference leads nowhere, or to what cannot be a key.
    """
    known = KNOWN[service]
    if names is None:
        names = [f"env:{known.variable}"] if known.variable and url == known.url else ["none"]
    names = [] if list(names) == ["none"] else names
    found = []
    for name in names:
        if not is_reference(name):
            raise ConfigError("a key must be a reference (env:NAME or file:PATH), not the key itself")
        value = resolve(name, environment, folder)
        if not value.isascii() or not value.isprintable() or not value or " " in value:
            raise UnresolvedError(f"what {name} holds does not look like a key")
        found.append(value)
    if service == "bedrock" and not found:
        raise ConfigError(
            "service bedrock needs a `key`: one API key, or access key id, secret and maybe session token"
        )
    if len(found) > (3 if service == "bedrock" else 1):
        raise ConfigError(f"service {service} takes no more keys than {3 if service == 'bedrock' else 1}")
    if len(found) > 1 and not region(url):
        raise ConfigError("to sign requests, `url` must name the region: https://bedrock-runtime.REGION.amazonaws.com")
    return tuple(found)
