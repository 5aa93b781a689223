"""Models and who serves them: public names, the backends behind each in order of failover, and what an attempt needs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from extproc.config.load import Loaded
from extproc.config.model import Config, ModelGroup
from extproc.errors import ConfigError, Problem
from extproc.providers.api import Call, Credential, Kind
from extproc.providers.build import Provided
from extproc.providers.credentials import ClientKey
from extproc.providers.known import KNOWN, type_of
from extproc.providers.models import OWN_NAMES, lacking
from extproc.providers.profile import Profile

_SLUG: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Backend:
    """One provider with one model: where an attempt goes and how it authenticates.

    ``base`` is the path part of the provider's URL. ``model`` None keeps the name the client asked for, without ``strip`` at
    its front. ``given`` is what the configuration says of its abilities. ``client_key``: the client's own key goes through.
    ``foreign`` names the client's headers that other providers may get, but not this one. ``plans`` is where
    ``exchange.planning`` remembers what it has found out.
    """

    name: str
    provider: str
    host: str
    port: int
    tls: bool
    base: str
    kind: Kind = field(repr=False)
    credential: Credential | None = field(repr=False)
    profile: Profile = field(repr=False)
    client_key: bool
    model: str | None
    strip: str
    foreign: tuple[str, ...] = field(default=(), repr=False)
    given: tuple[tuple[str, bool], ...] = ()
    plans: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def id(self) -> str:
        """Name and place: a backend that moved to another host is another one, also while a reload is under way.

        So is one whose paths, names of models or abilities are others.
        """
        kind = self.kind
        place = f"{self.provider} {self.tls} {self.host} {self.port} {self.base} {self.model} {self.strip}"
        paths = [kind.target(self.base, Call(each, "chat", "m")) for each in kind.formats]
        what = f"{place} {sorted(kind.names.map.items())} {paths} {self.given}"
        return f"{self.name}@{zlib.crc32(what.encode()):08x}"

    def upstream_model(self, asked: str) -> str:
        """The name this backend knows a model by."""
        return self.kind.own_name(self.model if self.model is not None else asked.removeprefix(self.strip))

    def lacks(self, model: str) -> frozenset[str]:
        """What a model of this name (its own for it) cannot take here; see ``providers.models``."""
        known = frozenset() if self.kind.name in OWN_NAMES else lacking(model)
        if not self.given:
            return known
        return (known - {name for name, has in self.given if has}) | {name for name, has in self.given if not has}

    @property
    def renames(self) -> bool:
        """Whether it may know a model by another name than the client's."""
        return self.model is not None or bool(self.strip) or self.kind.renames

    @property
    def credentials(self) -> frozenset[str]:
        """The credential headers that an attempt may carry."""
        return self.credential.names if self.credential else frozenset()

    @property
    def authority(self) -> str:
        """Host, and port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


Ability = tuple[str, ...]
_ABILITIES: Final = 8
"""Different ones in a group: Envoy is told of every combination of them."""


def _ability(backend: Backend) -> Ability:
    """Backends of one ability can serve the same requests. Some kinds speak otherwise of one model than of another."""
    kind, model = backend.kind, backend.model
    if model is None:  # the client's: nobody knows it yet, but that it is the same for all that do not rename it
        given = [f"{name}={has}" for name, has in backend.given]
        renamed = [f"{backend.strip} {kind.names.map}"] if backend.renames else []
        return (kind.name, *kind.formats, *(["*"] if kind.speaks("") != kind.formats else []), *given, *renamed)
    name = backend.upstream_model(model)
    return (kind.name, *kind.speaks(name), *(f"no {each}" for each in sorted(backend.lacks(name))))


@dataclass(frozen=True, slots=True)
class Group:
    """A public model name or glob, and the backends behind it in order of failover.

    ``passed`` names the client's headers that may reach them, or are overwritten. ``public``: models are asked for by its
    name; else it is a provider alone, for operations that go to this one.
    """

    name: str
    slug: str
    backends: tuple[Backend, ...]
    weights: tuple[int, ...] | None
    timeout: float
    first_byte_timeout: float
    idle_timeout: float
    passed: frozenset[str] = field(repr=False)
    public: bool = True

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
        names = [each.credentials for each in self.backends if each.client_key or self.only]
        return frozenset().union(*names)

    @property
    def client_key(self) -> bool:
        """Whether the client's own key goes to the (one) provider behind this group."""
        return any(backend.client_key for backend in self.backends)


_PASS: Final = frozenset({
    ":method", ":path", ":authority", ":scheme", "accept", "content-length", "content-type", "idempotency-key",
    "x-client-request-id", "x-request-id", "traceparent", "tracestate",
})  # fmt: skip
"""Request headers that may reach a provider; nothing in them describes the client or its network."""


def compile_groups(loaded: Loaded, providers: Mapping[str, Provided], problems: list[Problem]) -> tuple[Group, ...]:
    """Every model group; ``problems`` gets what is wrong with them."""
    config = loaded.config
    models = dict(config.models or _default_models(config))
    for name, provider in providers.items():
        if provider.resource:  # which clients may name by header
            models.setdefault(f"{name}/*", ModelGroup.model_validate({"backends": [name]}))
    compiled: list[Group] = []
    for name, group in sorted(models.items(), key=_precedence):
        keys = ("models", name)
        backends = []
        for each in group.backends:
            try:
                given = tuple(sorted(each.abilities.items()))
                backends += [replace(one, given=given) for one in _backend(loaded, providers, each.use, name)]
            except ConfigError as error:
                problems.append(loaded.problem(keys, error.problems[0].message))
        if any(each.client_key for each in backends) and len({each.provider for each in backends}) > 1:
            problems.append(
                loaded.problem(
                    keys, "a client's own key may only go to one provider: use one with `keys: client` alone"
                )
            )
        if len({_ability(each) for each in backends}) > _ABILITIES:
            problems.append(loaded.problem(keys, f"more than {_ABILITIES} backends that speak differently"))
            continue
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


def compile_passages(loaded: Loaded, providers: Mapping[str, Provided]) -> dict[str, Group]:
    """A group for each provider that an operation of the configuration names, by the provider's name."""
    config = loaded.config
    usual = ModelGroup.model_validate({"backends": ["any"]})
    found: dict[str, Group] = {}
    for name in sorted(providers.keys() & {each.to for each in config.operations.values()}):
        backends = _backend(loaded, providers, name, "")
        found[name] = Group(
            name=f"provider:{name}",
            slug=_slug(f"provider {name}\0", backends),  # no model has such a name
            backends=tuple(backends),
            weights=None,
            timeout=usual.timeout,
            first_byte_timeout=usual.first_byte_timeout,
            idle_timeout=usual.idle_timeout,
            passed=_passed(config, backends),
            public=False,
        )
    return found


def _slug(name: str, backends: list[Backend]) -> str:
    """A name for routes and clusters that stays the same from one configuration to the next.

    With one backend it names its place too: there the key goes with the decision, and must not meet another host.
    """
    what = f"{name} {backends[0].id}" if len(backends) == 1 else name
    return f"{_SLUG.sub('-', name.lower()).strip('-') or 'any'}-{zlib.crc32(what.encode()):08x}"


def _passed(config: Config, backends: list[Backend]) -> frozenset[str]:
    usual = _PASS | frozenset(config.gateway.pass_headers)
    allowed = [each.profile.allowed(usual) for each in backends]
    credentials = [each.credentials for each in backends if each.client_key or len(backends) == 1]
    return frozenset().union(*allowed, *credentials)


def _foreign(config: Config, providers: Mapping[str, Provided], profile: Profile) -> tuple[str, ...]:
    usual = _PASS | frozenset(config.gateway.pass_headers)
    known = [each.profile.passes | each.profile.names for each in providers.values()]
    return tuple(sorted(profile.removed.union(*known) - profile.allowed(usual) - {"user-agent"}))


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
    backend = Backend(
        name=use if slash or not strip else f"{use}/*",
        provider=name,
        host=provider.host,
        port=provider.port,
        tls=provider.tls,
        client_key=isinstance(provider.credential, ClientKey),
        model=model if slash else None,
        strip=strip,
        base=provider.base,
        kind=provider.kind,
        credential=provider.credential,
        profile=provider.profile,
        foreign=_foreign(loaded.config, providers, provider.profile),
    )
    return [backend]
