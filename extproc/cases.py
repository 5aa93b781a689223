"""``extproc test``: the examples of packs, and cases of your own, against the policies of a configuration.

A file of cases is YAML: a list of

    - {text: "mail john@example.org", expect: redact, result: "mail [email]"}
    - {text: "…", expect: block, policy: secrets, phase: response, scope: assistant}
    - {request: {model: gpt-4o, messages: […]}, headers: {x-team: red}, expect: allow}

``expect`` is allow, audit, redact, reply or block; everything else may be left out. Every text is also streamed, cut in
many ways: a result that depends on the cuts is a failure.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from extproc.config.strict import Strict
from extproc.errors import ConfigError, Refused
from extproc.explain import config_file
from extproc.framing.jsontext import dump
from extproc.guard import Checked, Guard, Phase, Scope, Traits
from extproc.policy import packs

_CUTS = 20


class Case(Strict):
    """One case."""

    text: str | None = None
    request: dict[str, Any] | None = None
    expect: Literal["allow", "audit", "redact", "reply", "block"]
    result: str | None = None
    policy: str | None = None
    phase: Phase = Phase.REQUEST
    scope: Scope = Scope.USER
    model: str = ""
    operation: str = ""
    headers: dict[str, str] = Field({})

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.text is None) == (self.request is None):
            raise ValueError("needs either `text` or `request`")
        return self


def test(options: argparse.Namespace) -> int:
    """Run them; status 1 if one fails."""
    guard = Guard.load(config_file(options), Path(options.policies) if options.policies else None)
    folder = Path(options.policies) if options.policies else None
    count, failed = 0, 0
    for name in packs.available(folder):
        found = packs.load(name, folder)  # proves itself, or says which example fails
        count += len(found.examples.match) + len(found.examples.clean) + len(found.examples.disguised)
    for path in options.files:
        for number, case in enumerate(_read(Path(path)), 1):
            count += 1
            for problem in run(guard, case):
                failed += 1
                print(f"{path}, case {number}: {problem}")
    print(f"{count} cases, {failed} failures")
    return 1 if failed else 0


def _read(path: Path) -> list[Case]:
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(tree, list):
            raise ConfigError(f"{path}: not a list of cases")
        return [Case.model_validate(each) for each in tree]
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc'])) or 'a case'}: {first['msg']}") from None


def run(guard: Guard, case: Case) -> Iterator[str]:
    """What is wrong with one case."""
    traits = Traits(case.operation, case.model, {name.lower(): value for name, value in case.headers.items()})
    try:
        checked = _checked(guard, case, traits)
    except Refused as refused:
        yield f"refused: {refused.message}"
        return
    if checked.outcome != case.expect:
        yield f"expected {case.expect}, got {checked.outcome}"
    if case.policy and case.policy not in (checked.policy, *(row["policy"] for row in checked.rows)):
        yield f"the policy {case.policy} found nothing"
    if case.result is not None and checked.text != case.result:
        yield f"expected {case.result!r}, got {checked.text!r}"
    if case.text is not None and case.phase is Phase.RESPONSE and checked.text is not None:
        for seed in range(_CUTS):
            if (streamed := _streamed(guard, case, traits, random.Random(seed))) != checked.text:  # noqa: S311
                yield f"streamed, it becomes {streamed!r}"
                return


def _checked(guard: Guard, case: Case, traits: Traits) -> Checked:
    if case.request is not None:
        return guard.check_request(dump(case.request), traits)
    return guard.check(case.text or "", scope=case.scope, phase=case.phase, traits=traits)


def _streamed(guard: Guard, case: Case, traits: Traits, random_: random.Random) -> str:
    stream = guard.stream(scope=case.scope, traits=traits)
    text, out = case.text or "", ""
    while text:
        count = random_.randint(1, 8)
        out += stream.feed(text[:count])
        text = text[count:]
    return out + stream.close()
