"""The runtime: everything a configuration says, compiled once. Immutable; an exchange keeps the one it started with."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from extproc.config.load import Loaded
from extproc.config.model import Config, ModelGroup, Provider
from extproc.config.references import UnresolvedError, is_reference, resolve
from extproc.errors import ConfigError, Problem
from extproc.policy.attach import Attached
from extproc.policy.compile import compile_policies
from extproc.policy.override import Headers
from extproc.providers.api import Credential, Kind
from extproc.providers.compatible import Compatible, Keys
from extproc.providers.known import KNOWN, Known

_SLUG: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Backend:
    """One provider with one model: where an attempt goes and how it authenticates.

    ``path`` is what the base URL has of one. ``model`` None keeps the name the client asked for, without ``strip`` at its
    front. ``client_key``: the client's own key goes through.
    """

    name: str
    provider: str
    host: str
    port: int
    tls: bool
    path: str
    kind: Kind = field(repr=False)
    credential: Credential = field(repr=False)
    client_key: bool
    model: str | None
    strip: str

    @property
    def id(self) -> str:
        """Name and place: a backend that moved to another host is another one, also while a reload is under way."""
        place = f"{self.provider} {self.tls} {self.host} {self.port} {self.path} {self.model} {self.strip}"
        return f"{self.name}@{zlib.crc32(place.encode()):08x}"

    def upstream_model(self, asked: str) -> str:
        """The name this backend knows a model by."""
        return self.model if self.model is not None else asked.removeprefix(self.strip)

    @property
    def authority(self) -> str:
        """Host, and port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


Ability = tuple[str, ...]


def _ability(backend: Backend) -> Ability:
    """Backends of one ability can serve the same requests."""
    return (backend.kind.name, *backend.kind.formats)


@dataclass(frozen=True, slots=True)
class Group:
    """A public model name or glob, and the backends behind it in order of failover.

    ``passed`` names the client's headers that may reach them, or are overwritten.
    """

    name: str
    slug: str
    backends: tuple[Backend, ...]
    weights: tuple[int, ...] | None
    timeout: float
    first_byte_timeout: float
    idle_timeout: float
    passed: frozenset[str] = field(repr=False)

    @property
    def only(self) -> Backend | None:
        """The backend, where there is just one: then the router filter says what an attempt needs, and no other is asked."""
        return self.backends[0] if len(self.backends) == 1 else None

    @property
    def abilities(self) -> list[Ability]:
        """The different abilities of its backends; requests that not all can serve are kept to some (see ``subset``)."""
        return list(dict.fromkeys(_ability(backend) for backend in self.backends))

    def subset(self, backends: Iterable[Backend]) -> str:
        """The name of the subset of backends that are as able as these."""
        abilities = self.abilities
        return str(sum(1 << number for number in {abilities.index(_ability(each)) for each in backends}))

    def subsets(self, backend: Backend) -> list[str]:
        """The names of all subsets a backend belongs to."""
        abilities = self.abilities
        bit = 1 << abilities.index(_ability(backend))
        return [str(number) for number in range(1, 1 << len(abilities)) if number & bit]

    @property
    def own_credentials(self) -> frozenset[str]:
        """Credential headers that may leave with its route: what the router filter has set, or a client's own key."""
        names = [each.credential.names for each in self.backends if each.client_key or self.only]
        return frozenset().union(*names)

    @property
    def client_key(self) -> bool:
        """Whether the client's own key goes to the (one) provider behind this group."""
        return any(backend.client_key for backend in self.backends)


@dataclass(frozen=True, slots=True)
class Runtime:
    """A compiled configuration, and what it was compiled from."""

    config: Config
    loaded: Loaded = field(repr=False)
    packs: Path | None
    generation: int
    attached: Attached = field(repr=False)
    overrides: Headers = field(repr=False)
    groups: tuple[Group, ...]
    by_name: Mapping[str, Group] = field(repr=False)
    by_prefix: tuple[tuple[str, Group], ...] = field(repr=False)
    backends: Mapping[str, Backend]
    former: Mapping[str, Backend]
    armed: str

    def group(self, model: str) -> Group | None:
        """What serves a model: its own name, else the glob with the longest literal prefix."""
        found = self.by_name.get(model)
        if found is None:
            found = next((group for prefix, group in self.by_prefix if model.startswith(prefix)), None)
        return found

    def with_config(self, config: Config) -> Runtime:
        """The same with other settings that nothing was compiled from (addresses, ports)."""
        return replace(self, config=config)

    def backend(self, id_: str) -> Backend | None:
        """A backend by its id, also one that the configuration before this had."""
        return self.backends.get(id_) or self.former.get(id_)

    def models(self) -> list[str]:
        """Public names that are not globs."""
        return [group.name for group in self.groups if not group.name.endswith("*")]


_PASS: Final = frozenset({
    ":method", ":path", ":authority", ":scheme", "accept", "content-length", "content-type", "idempotency-key",
    "openai-beta", "x-client-request-id", "x-request-id", "traceparent", "tracestate",
})  # fmt: skip
"""Request headers that may reach a provider; nothing in them describes the client or its network."""


def compile_runtime(
    loaded: Loaded, generation: int = 1, packs: Path | None = None, before: Runtime | None = None
) -> Runtime:
    """Compile a configuration. Requests that were decided under ``before`` still find its backends.

    Raises:
        ConfigError: it cannot work; with every problem found.
    """
    problems: list[Problem] = []
    attached, overrides = compile_policies(loaded, packs, problems)
    groups = _groups(loaded, problems)
    if problems:
        raise ConfigError(problems)
    return Runtime(
        config=loaded.config,
        loaded=loaded,
        packs=packs,
        generation=generation,
        attached=attached,
        overrides=overrides,
        groups=groups,
        by_name={group.name: group for group in groups},
        # sorted: from long to short
        by_prefix=tuple((group.name[:-1], group) for group in groups if group.name.endswith("*")),
        backends={backend.id: backend for group in groups for backend in group.backends},
        former=before.backends if before else {},
        armed=attached.usual.header,
    )


# models and backends


def _groups(loaded: Loaded, problems: list[Problem]) -> tuple[Group, ...]:
    config = loaded.config
    if not config.providers:
        problems.append(Problem(_NO_PROVIDERS))
        return ()
    models = config.models or _default_models(config)
    compiled: list[Group] = []
    for name, group in sorted(models.items(), key=_precedence):
        keys = ("models", name)
        backends = []
        for each in group.backends:
            try:
                backends.append(_backend(loaded, each.use, name))
            except UnresolvedError as error:
                provider = each.use.partition("/")[0]
                problems.append(loaded.problem(("providers", provider, "keys"), str(error)))
            except ConfigError as error:
                problems.append(loaded.problem(keys, error.problems[0].message))
        if any(each.client_key for each in backends) and len({each.provider for each in backends}) > 1:
            problems.append(
                loaded.problem(
                    keys, "a client's own key may only go to one provider: use one with `keys: client` alone"
                )
            )
        compiled.append(
            Group(
                name=name,
                slug=_slug(name, backends),
                backends=tuple(backends),
                weights=tuple(each.weight for each in group.backends) if group.weighted else None,
                timeout=group.timeout,
                first_byte_timeout=group.first_byte_timeout,
                idle_timeout=group.idle_timeout,
                passed=_passed(config, backends),
            )
        )
    return tuple(compiled)


_NO_PROVIDERS: Final = (
    "no providers: set one of "
    + ", ".join(known.variable for known in KNOWN.values() if known.variable)
    + ", write a configuration file, or try `extproc demo`"
)


def _slug(name: str, backends: list[Backend]) -> str:
    """A name for routes and clusters that stays the same from one configuration to the next.

    With one backend it names its place too: there the key goes with the decision, and must not meet another host.
    """
    what = f"{name} {backends[0].id}" if len(backends) == 1 else name
    return f"{_SLUG.sub('-', name.lower()).strip('-') or 'any'}-{zlib.crc32(what.encode()):08x}"


def _passed(config: Config, backends: list[Backend]) -> frozenset[str]:
    passed = _PASS | set(config.gateway.pass_headers)
    names = [each.credential.names for each in backends if each.client_key or len(backends) == 1]
    return frozenset(passed).union(*names)


def _precedence(item: tuple[str, ModelGroup]) -> tuple[bool, int, str]:
    name = item[0]
    return name.endswith("*"), -len(name), name


def _default_models(config: Config) -> dict[str, ModelGroup]:
    """Without ``models``: every provider's usual names, ``provider/anything``, and all names where there is one provider."""
    models: dict[str, str] = {}
    for name, provider in config.providers.items():
        known = KNOWN.get(provider.type or name)
        for glob in (*(known.models if known else ()), f"{name}/*"):
            models.setdefault(glob, name)
    if len(config.providers) == 1:
        models["*"] = next(iter(config.providers))
    return {glob: ModelGroup.model_validate({"backends": [name]}) for glob, name in models.items()}


def _backend(loaded: Loaded, use: str, public: str) -> Backend:
    name, slash, model = use.partition("/")
    provider = loaded.config.providers.get(name)
    if provider is None:
        known = ", ".join(sorted(loaded.config.providers))
        raise ConfigError(f"there is no provider '{name}'; known: {known}")
    if slash and not model:
        raise ConfigError(f"'{use}' names no model")
    kind = KNOWN.get(provider.type or name) or Known("")
    url, port = _url(name, provider.base_url or kind.base_url)
    if not url.hostname or url.query or url.fragment or url.username:
        raise ConfigError(f"the base_url of '{name}' needs a host, and no user, query or fragment")
    keys, client_key = _keys(loaded, name, provider, kind)
    tls = url.scheme == "https"
    strip = f"{name}/" if not slash and public.startswith(f"{name}/") else ""
    return Backend(
        name=use if slash or not strip else f"{use}/*",
        provider=name,
        host=url.hostname,
        port=port or (443 if tls else 80),
        tls=tls,
        path=url.path.rstrip("/"),
        kind=Compatible(provider.path or ""),
        credential=Keys(kind.auth_header, kind.auth_prefix, keys, client_key),
        client_key=client_key,
        model=model if slash else None,
        strip=strip,
    )


def _url(name: str, text: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(text)
        return url, url.port
    except ValueError as error:
        raise ConfigError(f"the base_url of '{name}' is not a URL: {error}") from None


def _keys(loaded: Loaded, name: str, provider: Provider, kind: Known) -> tuple[tuple[str, ...], bool]:
    named = provider.keys
    if named is None:
        if not kind.variable:
            return (), False
        named = [f"env:{kind.variable}"]
    if named == ["none"]:
        return (), False
    if named == ["client"]:
        return (), True
    values = []
    for each in named:
        if not is_reference(each):
            raise ConfigError(
                f"provider '{name}': a key must be a reference (env:NAME or file:PATH), not the key itself"
            )
        value = resolve(each, loaded.environment, loaded.folder)
        if not value.isascii() or not value.isprintable() or " " in value:
            raise UnresolvedError(f"what {each} holds does not look like a key")
        values.append(value)
    return tuple(values), False


def effective(loaded: Loaded) -> dict[str, Any]:
    """The configuration in force, defaults included, for people to read. Keys are references and stay so."""
    return loaded.config.model_dump(mode="json", exclude_none=True)
