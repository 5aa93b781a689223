"""Policies as the configuration names them, compiled and attached: sets expanded, every problem said at its place."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path

from extproc.config.attach import Attachment, Target
from extproc.config.load import Loaded, shipped
from extproc.config.references import UnresolvedError
from extproc.config.source import Keys
from extproc.errors import ConfigError, Problem
from extproc.policy.api import Policy
from extproc.policy.attach import Attached, Line, predicate
from extproc.policy.kinds import ANY_POLICY, AnyPolicy
from extproc.policy.kinds.base import Context
from extproc.policy.override import Headers, Loose
from extproc.policy.pattern import PatternError


def compile_policies(loaded: Loaded, packs: Path | None, problems: list[Problem]) -> tuple[Attached, Headers]:
    """All policies of a configuration, and what headers may ask of them; what is wrong is added to ``problems``."""
    config = loaded.config
    context = Context(
        loaded.folder, packs, config.redaction, environment=loaded.environment, python=config.processor.python
    )
    names = _Names(loaded, problems)
    lines = [names.line(("attach", index), each) for index, each in enumerate(_attachments(loaded))]
    loose = [
        Loose(frozenset(names.expand(("overrides", "loosen", index), each.policies)), predicate(each.to))
        for index, each in enumerate(config.overrides.loosen)
    ]
    wanted = dict.fromkeys(name for line in lines for name in line.names)
    wanted |= dict.fromkeys(name for name in config.policies)
    policies: dict[str, Policy] = {}
    for name in wanted:
        try:
            policies[name] = names.known[name].compile(name, context)
        except (PatternError, UnresolvedError) as error:
            problems.append(loaded.problem(("policies", name), str(error)))
        except ConfigError as error:
            problems += [loaded.problem(("policies", name), str(each)) for each in error.problems]
    if problems:
        return Attached({}, []), Headers({}, {}, context, config.overrides, ())
    sets = {name: frozenset(names.expand(("sets", name), [name])) & policies.keys() for name in names.sets}
    return Attached(policies, lines), Headers(policies, sets, context, config.overrides, tuple(loose))


def _attachments(loaded: Loaded) -> list[Attachment]:
    config = loaded.config
    if config.attach is not None:
        return config.attach
    return [Attachment(use=list(config.policies) or ["recommended"])]


class _Names:
    """Policies and sets by name, shipped ones and the operator's."""

    def __init__(self, loaded: Loaded, problems: list[Problem]) -> None:
        self._loaded = loaded
        self._problems = problems
        ours = shipped()
        self.known: Mapping[str, AnyPolicy] = {
            **{name: ANY_POLICY.validate_python(each) for name, each in ours["policies"].items()},
            **loaded.config.policies,
        }
        self.sets: Mapping[str, list[str]] = {**ours["sets"], **loaded.config.sets}

    def line(self, keys: Keys, attachment: Attachment) -> Line:
        """One line, its sets expanded."""
        target = attachment.to if isinstance(attachment.to, Target) else None
        names = self.expand(keys, attachment.use or attachment.without or [])
        return Line(
            names=tuple(names),
            applies=predicate(target),
            always=target is None,
            removes=attachment.without is not None,
            until=_end(attachment.until) if attachment.until else 0.0,
        )

    def expand(self, keys: Keys, names: Iterable[str]) -> list[str]:
        """Policies for names of policies and sets, in order, each once."""
        found: dict[str, None] = {}
        for name in names:
            try:
                found.update(dict.fromkeys(self._members(name, ())))
            except ConfigError as error:
                self._problems.append(self._loaded.problem(keys, str(error.problems[0].message)))
        return list(found)

    def _members(self, name: str, above: tuple[str, ...]) -> list[str]:
        if name in above:
            raise ConfigError(f"the set '{name}' contains itself")
        if name in self.known:
            return [name]
        if name not in self.sets:
            known = ", ".join(sorted([*self.known, *self.sets]))
            raise ConfigError(f"there is no policy or set '{name}'; known: {known}")
        return [each for member in self.sets[name] for each in self._members(member, (*above, name))]


def _end(day: datetime.date) -> float:
    """The end of a day, UTC, as Unix time."""
    after = datetime.datetime.combine(day, datetime.time(), datetime.UTC) + datetime.timedelta(days=1)
    return after.timestamp()
