"""Which policies apply to a request: the lines of ``attach``, what the request is, and what its headers ask for.

Owns: the union (every line that matches adds), the dated exceptions, and the order of policies (as the configuration
first names them). Chains are compiled once for every set of policies that the lines give. What headers ask for is put
together from chains of one policy each: a client that tries all combinations costs nobody a compilation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from extproc.config.attach import Target
from extproc.plugin import Caller
from extproc.policy.api import Action, Mode, Policy
from extproc.policy.chain import Chain
from extproc.policy.rules import compile_re2, escape

ROUTES: Final = ("xds.route_name", "xds.route_metadata.filter_metadata['llm.extproc']['route']")
PRINCIPALS: Final = ("connection.uri_san_peer_certificate", "connection.subject_peer_certificate")
ADDRESS: Final = "source.address"
JWT: Final = "envoy.filters.http.jwt_authn"
"""Attributes and dynamic metadata that Envoy is asked for where a line needs them."""

_CHAINS_MAX: Final = 64
"""Combinations of policies that are compiled together, and requests' wishes that are remembered."""
_SINGLES_MAX: Final = 1024
"""Policies compiled by themselves: those of the configuration, with each action."""


@dataclass(slots=True, repr=False)
class Traits:
    """What is known of a request when its policies are chosen. ``claims`` are those of a verified token.

    ``route`` is what the calling filter calls its route, besides Envoy's own name for it and the route's metadata.
    """

    operation: str = ""
    model: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    route: str = ""

    def caller(self) -> Caller:
        """What the operator's own policies are told of it."""
        principal = next((text for name in PRINCIPALS for text in _texts(self.attributes.get(name))), "")
        return Caller(self.operation, self.model, principal, self.claims, self.headers)

    @property
    def address(self) -> str:
        """The client's IP address, as far as Envoy trusts what it was told; empty if it was not asked for."""
        host = str(self.attributes.get(ADDRESS, "")).rpartition(":")[0]
        return host.strip("[]")


def claims(metadata: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the token that Envoy's JWT filter has verified and said the payload of, under whatever key."""
    found: dict[str, Any] = {}
    for payload in metadata.get(JWT, {}).values():
        if isinstance(payload, dict):
            found |= payload
    return found


Predicate = Callable[[Traits], bool]


def predicate(target: Target | None) -> Predicate:
    """Whether a request is meant; None means all."""
    if target is None:
        return lambda traits: True
    tests: list[Predicate] = []
    if target.operation:
        tests.append(_one(target.operation, lambda traits: [traits.operation]))
    if target.model:
        tests.append(_one(target.model, lambda traits: [traits.model]))
    if target.route:
        tests.append(_one(target.route, _routes))
    if target.principal:
        tests.append(
            _one(target.principal, lambda traits: [t for p in PRINCIPALS for t in _texts(traits.attributes.get(p))])
        )
    tests += [_one(globs, _header(name)) for name, globs in (target.header or {}).items()]
    tests += [_one(globs, _claim(name)) for name, globs in (target.jwt or {}).items()]
    return lambda traits: all(test(traits) for test in tests)


def _one(globs: Sequence[str], values: Callable[[Traits], Iterable[str]]) -> Predicate:
    # RE2: clients choose some of these values, and a glob with several stars must not cost more than their length
    pattern = compile_re2("(?s:" + "|".join(".*".join(map(escape, glob.split("*"))) for glob in globs) + ")")
    return lambda traits: any(pattern.fullmatch(value) for value in values(traits))


def _routes(traits: Traits) -> Iterable[str]:
    found = [text for name in ROUTES for text in _texts(traits.attributes.get(name))]
    return [*found, traits.route] if traits.route else found


def _header(name: str) -> Callable[[Traits], Iterable[str]]:
    return lambda traits: [traits.headers[name]] if name in traits.headers else []


def _claim(name: str) -> Callable[[Traits], Iterable[str]]:
    return lambda traits: _texts(traits.claims.get(name))


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [each for each in value if isinstance(each, str)]
    return [value] if isinstance(value, str) and value else []


@dataclass(frozen=True, slots=True)
class Line:
    """One line of ``attach``. ``until``: Unix time after which an exception no longer holds."""

    names: tuple[str, ...]
    applies: Predicate
    always: bool
    removes: bool = False
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request's headers ask for: policies to add, and actions to take instead of the configured ones.

    ``adds`` are names of policies; ``actions`` by name, None to switch it off; ``values`` by name, see ``Policy.override``;
    ``own`` are policies made for this request.
    """

    adds: frozenset[str] = frozenset()
    actions: tuple[tuple[str, Action | None], ...] = ()
    own: tuple[Policy, ...] = ()
    values: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.adds or self.actions or self.own or self.values)


NOTHING: Final = Wish()
"""No header asks for anything."""
_EMPTY: Final = Chain(())


@dataclass(frozen=True, slots=True)
class Armed:
    """The policies of one request, compiled. ``header`` says which they are.

    ``requests`` are those that judge a request as a whole and ``responses`` an answer, ``moderated`` those whose services
    judge; ``restores``: some show again in the answer what they redact.
    """

    policies: tuple[Policy, ...]
    chain: Chain
    header: str
    requests: tuple[Policy, ...]
    moderated: tuple[Policy, ...]
    restores: bool
    responses: tuple[Policy, ...] = ()

    def blind(self) -> Armed:
        """What is left of them where nobody looks into bodies: those that judge a request by other things."""
        left = tuple(each for each in self.policies if each.request)
        return Armed(left, _EMPTY, _listing(left), self.requests, (), restores=False)


def _listing(policies: Iterable[Policy]) -> str:
    return ",".join(each.name if each.enforced else f"{each.name};audit" for each in policies) or "none"


class Attached:
    """All policies of a configuration, and what they are attached to. Immutable but for what it remembers.

    Args:
        policies: by name, in the order of the configuration.
        lines: of ``attach``.
        now: Unix time in seconds.
    """

    def __init__(
        self, policies: Mapping[str, Policy], lines: Sequence[Line], now: Callable[[], float] = time.time
    ) -> None:
        self.policies = policies
        self._order = {name: index for index, name in enumerate(policies)}
        self._always = frozenset(name for line in lines if line.always and not line.removes for name in line.names)
        self._lines = tuple(line for line in lines if not line.always)
        self._now = now
        self._armed: dict[Any, Armed] = {}
        self._chains: dict[tuple[str, ...], Chain] = {}
        self._singles: dict[int, tuple[Policy, Chain]] = {}
        self._variants: dict[tuple[str, Action], Policy] = {}
        self.usual = self._arm(self._always, NOTHING)

    def choose(self, traits: Traits, wish: Wish = NOTHING) -> Armed:
        """The policies for a request."""
        if not self._lines and not wish:
            return self.usual
        return self._arm(self._names(traits), wish)

    def _names(self, traits: Traits) -> frozenset[str]:
        names, without = self._always, frozenset[str]()
        for line in self._lines:
            if line.removes:
                if self._now() <= line.until and line.applies(traits):
                    without = without.union(line.names)
            elif line.applies(traits):
                names = names.union(line.names)
        return names - without

    def _arm(self, names: frozenset[str], wish: Wish) -> Armed:
        if wish.own:  # made for one request: not worth remembering
            return self._compiled(names, wish)
        found = self._armed.get((names, wish))
        if found is None:
            if len(self._armed) >= _CHAINS_MAX:
                self._armed.clear()
            found = self._armed[names, wish] = self._compiled(names, wish)
        return found

    def _compiled(self, names: frozenset[str], wish: Wish) -> Armed:
        actions, values = dict(wish.actions), dict(wish.values)
        chosen: list[Policy] = []
        for name in sorted(names | wish.adds | actions.keys() | values.keys(), key=self._order.__getitem__):
            if name in values:
                chosen.append(replace(self.policies[name], override=values[name]))
            elif name not in actions:
                chosen.append(self.policies[name])
            elif (action := actions[name]) is not None:
                chosen.append(self._variant(name, action))
        policies = (*chosen, *wish.own)
        chain = self._joined(policies) if wish else self._chain(policies)
        return Armed(
            policies,
            chain,
            _listing(policies),
            tuple(each for each in policies if each.request),
            tuple(each for each in policies if each.moderation),
            any(each.restore for each in policies),
            tuple(each for each in policies if each.response),
        )

    def _variant(self, name: str, action: Action) -> Policy:
        key = (name, action)
        if key not in self._variants:
            self._variants[key] = self.policies[name].acting(action, Mode.ENFORCE)
        return self._variants[key]

    def _chain(self, policies: tuple[Policy, ...]) -> Chain:
        """Compiled together, which is fastest to run; but lines may go by what clients choose, so not without end."""
        key = tuple(each.name for each in policies)
        if key not in self._chains:
            if len(self._chains) >= _CHAINS_MAX:
                return self._joined(policies)
            self._chains[key] = Chain(policies)
        return self._chains[key]

    def _joined(self, policies: Iterable[Policy]) -> Chain:
        chain = _EMPTY
        for each in policies:
            if each.rules:  # others have no part in a chain
                chain = chain.with_chain(self._single(each))
        return chain

    def _single(self, policy: Policy) -> Chain:
        found = self._singles.get(id(policy))
        if found is None:
            if len(self._singles) >= _SINGLES_MAX:
                self._singles.clear()
            found = self._singles[id(policy)] = policy, Chain((policy,))  # the policy too: ids are given out again
        return found[1]
