"""The runtime: everything a configuration says, compiled once. Immutable; an exchange keeps the one it started with."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from extproc.config.load import Loaded
from extproc.config.model import Config, ModelGroup
from extproc.errors import ConfigError, Problem
from extproc.formats.openai_chat import OpenAIChat
from extproc.policy.attach import Attached
from extproc.policy.compile import compile_policies
from extproc.policy.override import Headers
from extproc.providers.api import Call, Credential, Kind
from extproc.providers.build import Provided, provided
from extproc.providers.credentials import Bearer, ClientKey, Held, Keys, Signed
from extproc.providers.known import CHAT, KNOWN, type_of
from extproc.providers.profile import Profile

_SLUG: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Backend:
    """One provider with one model: where an attempt goes and how it authenticates.

    ``model`` None keeps the name the client asked for, without ``strip`` at its front. ``keys`` are used in turn;
    empty: none is sent. ``client_key``: the client's own key goes through. ``base``: the path part of the provider's URL.
    """

    name: str
    provider: str
    host: str
    port: int
    tls: bool
    path: str
    auth_header: str
    auth_prefix: str
    keys: tuple[str, ...] = field(repr=False)
    client_key: bool
    model: str | None
    strip: str
    base: str
    kind: Kind = field(repr=False)
    credential: Credential | None = field(repr=False)
    profile: Profile = field(repr=False)
    _turns: Iterator[int] = field(default_factory=itertools.count, repr=False, compare=False)

    @property
    def id(self) -> str:
        """Name and place: a backend that moved to another host is another one, also while a reload is under way."""
        place = f"{self.provider} {self.tls} {self.host} {self.port} {self.path} {self.model} {self.strip}"
        return f"{self.name}@{zlib.crc32(place.encode()):08x}"

    def key(self) -> str | None:
        """The key for the next attempt."""
        return self.keys[next(self._turns) % len(self.keys)] if self.keys else None

    def upstream_model(self, asked: str) -> str:
        """The name this backend knows a model by."""
        return self.kind.own_name(self.model if self.model is not None else asked.removeprefix(self.strip))

    @property
    def renames(self) -> bool:
        """Whether it may know a model by another name than the client's."""
        return self.model is not None or bool(self.strip) or self.kind.renames

    def own_headers(self) -> tuple[tuple[str, str], ...]:
        """What an attempt at this backend says: where it goes, and the next key."""
        found = ((":path", self.path), (":authority", self.authority))
        key = self.key()
        return found if key is None else (*found, (self.auth_header, self.auth_prefix + key))

    @property
    def own_credential(self) -> str:
        """The credential header that an attempt may carry; empty for none."""
        return "authorization" if self.client_key else self.auth_header if self.keys else ""

    @property
    def authority(self) -> str:
        """Host, and port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


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
    def renames(self) -> bool:
        """Whether an attempt may have to change the model's name in the body."""
        return any(backend.renames for backend in self.backends)

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
    resources: Mapping[str, str]
    format: OpenAIChat
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

    def held(self) -> list[Held]:
        """Of every credential that is fetched: where its tokens go."""
        credentials = [backend.credential for backend in (*self.backends.values(), *self.former.values())]
        found = [each.held for each in credentials if isinstance(each, (Bearer, Signed)) and each.held]
        return list({id(each): each for each in found}.values())  # a provider's backends share one

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
    providers = provided(loaded, problems)
    groups = _groups(loaded, providers, problems)
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
        resources={each.resource: each.name for each in providers.values() if each.resource},
        format=OpenAIChat(),
        armed=attached.usual.header,
    )


# models and backends


def _groups(loaded: Loaded, providers: Mapping[str, Provided], problems: list[Problem]) -> tuple[Group, ...]:
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
                backends += _backend(loaded, providers, each.use, name)
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
    + ", ".join(known.variable for known in KNOWN.values() if known.whole)
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
    if any(each.client_key for each in backends):
        passed |= {"authorization"}
    if len(backends) == 1 and backends[0].own_credential:
        passed |= {backends[0].own_credential}
    return frozenset(passed)


def _precedence(item: tuple[str, ModelGroup]) -> tuple[bool, int, str]:
    name = item[0]
    return name.endswith("*"), -len(name), name


def _default_models(config: Config) -> dict[str, ModelGroup]:
    """Without ``models``: every provider's usual names, ``provider/anything``, and all names where there is one provider."""
    models: dict[str, str] = {}
    for name, provider in config.providers.items():
        known = KNOWN.get(type_of(name, provider.type))
        for glob in (*(known.models if known else ()), f"{name}/*"):
            models.setdefault(glob, name)
    if len(config.providers) == 1:
        models["*"] = next(iter(config.providers))
    return {glob: ModelGroup.model_validate({"backends": [name]}) for glob, name in models.items()}


def _backend(loaded: Loaded, providers: Mapping[str, Provided], use: str, public: str) -> list[Backend]:
    """The backend that a use of a provider makes; none where the provider's own problem has been told."""
    name, slash, model = use.partition("/")
    if name not in loaded.config.providers:
        known = ", ".join(sorted(loaded.config.providers))
        raise ConfigError(f"there is no provider '{name}'; known: {known}")
    if slash and not model:
        raise ConfigError(f"'{use}' names no model")
    if name not in providers:
        return []
    provider = providers[name]
    strip = f"{name}/" if not slash and public.startswith(f"{name}/") else ""
    paid = provider.credential
    backend = Backend(
        name=use if slash or not strip else f"{use}/*",
        provider=name,
        host=provider.host,
        port=provider.port,
        tls=provider.tls,
        path=provider.kind.target(provider.base, Call(CHAT, "chat", model or "-")) or provider.base,
        auth_header=provider.known.auth_header,
        auth_prefix=provider.known.auth_prefix,
        keys=paid.values if isinstance(paid, Keys) else (),
        client_key=isinstance(paid, ClientKey),
        model=model if slash else None,
        strip=strip,
        base=provider.base,
        kind=provider.kind,
        credential=paid,
        profile=provider.profile,
    )
    return [backend]


def effective(loaded: Loaded) -> dict[str, Any]:
    """The configuration in force, defaults included, for people to read. Keys are references and stay so."""
    return loaded.config.model_dump(mode="json", exclude_none=True)
