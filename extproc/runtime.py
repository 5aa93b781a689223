"""The runtime: everything a configuration says, compiled once. Immutable; an exchange keeps the one it started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from extproc.config.load import Loaded
from extproc.config.model import Config
from extproc.config.references import UnresolvedError, is_reference, resolve
from extproc.errors import ConfigError, Problem
from extproc.groups import Backend, Group, compile_groups, compile_passages
from extproc.named import NamedOperations, compile_operations
from extproc.policy.attach import Attached
from extproc.policy.compile import compile_policies
from extproc.policy.override import Headers
from extproc.providers.build import provided
from extproc.providers.credentials import Bearer, Held, Signed


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
    passages: Mapping[str, Group] = field(repr=False)
    named: NamedOperations = field(repr=False)
    backends: Mapping[str, Backend]
    former: Mapping[str, Backend]
    resources: Mapping[str, str]
    aws_keys: Mapping[str, str] = field(repr=False)
    armed: str
    names: tuple[str, ...]

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

    @property
    def guards_only(self) -> bool:
        """Whether it has nothing to route to: it is for traffic that others route."""
        return not self.config.providers

    def models(self) -> list[str]:
        """Public names that are not globs."""
        return list(self.names)


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
    models = compile_groups(loaded, providers, problems)
    passages = compile_passages(loaded, providers)
    named = compile_operations(loaded, passages, problems)
    groups = (*models, *passages.values())
    aws_keys = _aws_keys(loaded, problems)
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
        by_name={group.name: group for group in models},
        # sorted: from long to short
        by_prefix=tuple((group.name[:-1], group) for group in models if group.name.endswith("*")),
        passages={group.name: group for group in passages.values()},
        named=named,
        backends={backend.id: backend for group in groups for backend in group.backends},
        former=before.backends if before else {},
        resources={each.resource: each.name for each in providers.values() if each.resource},
        aws_keys=aws_keys,
        armed=attached.usual.header,
        names=tuple(group.name for group in models if not group.name.endswith("*")),
    )


def _aws_keys(loaded: Loaded, problems: list[Problem]) -> dict[str, str]:
    """Secrets of the clients that sign their requests."""
    found: dict[str, str] = {}
    for name, reference in loaded.config.gateway.aws_keys.items():
        where = ("gateway", "aws_keys", name)
        if not is_reference(reference):
            problems.append(loaded.problem(where, "a secret must be a reference (env:NAME or file:PATH), not itself"))
            continue
        try:
            found[name] = resolve(reference, loaded.environment, loaded.folder)
        except UnresolvedError as error:
            problems.append(loaded.problem(where, str(error)))
    return found


def effective(loaded: Loaded) -> dict[str, Any]:
    """The configuration in force, defaults included, for people to read. Keys are references and stay so."""
    return loaded.config.model_dump(mode="json", exclude_none=True)
