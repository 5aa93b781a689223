"""``extproc explain``: what would happen to a request or a text, and why. Shows content: it is for the operator's own eyes."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from extproc.errors import ConfigError, Refused
from extproc.framing.jsontext import dump_pretty
from extproc.guard import Checked, Guard, Phase, Place, Scope, Traits
from extproc.policy.attach import PRINCIPALS, ROUTES


def explain(options: argparse.Namespace) -> int:
    """Print it; status 0 whatever the verdict is, 1 where the input cannot be read."""
    guard = Guard.load(config_file(options), Path(options.policies) if options.policies else None)
    raw = sys.stdin.buffer.read() if options.file == "-" else _read(options.file)
    try:
        checked = _checked(guard, raw, options)
    except Refused as refused:
        print(f"refused: {refused.status} {refused.code}: {refused.message}")
        return 0
    print(dump_pretty(_plain(checked)) if options.json else _readable(checked))
    return 0


def config_file(options: argparse.Namespace) -> str | None:
    """The file that a command's options mean."""
    path: str | None = options.config or os.environ.get("EXTPROC_CONFIG")
    return path or ("extproc.yaml" if Path("extproc.yaml").is_file() else None)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from None


def _checked(guard: Guard, raw: bytes, options: argparse.Namespace) -> Checked:
    traits = _traits(options)
    if not options.text and raw.lstrip().startswith(b"{"):
        return guard.check_request(raw, traits)
    text = raw.decode("utf-8", "replace")
    return guard.check(text, scope=Scope(options.scope), phase=Phase(options.phase), traits=traits)


def _traits(options: argparse.Namespace) -> Traits:
    attributes: dict[str, Any] = {}
    if options.route:
        attributes[ROUTES[0]] = options.route
    if options.caller:
        attributes[PRINCIPALS[0]] = options.caller
    headers = {name.lower(): value for name, value in _pairs(options.header, ":")}
    claims = dict(_pairs(options.claim, "="))
    return Traits(options.operation, options.model, headers, attributes, claims)


def _pairs(values: list[str], separator: str) -> list[tuple[str, str]]:
    found = []
    for each in values:
        name, between, value = each.partition(separator)
        if not between or not name.strip():
            raise ConfigError(f"'{each}' is not NAME{separator}VALUE")
        found.append((name.strip(), value.strip()))
    return found


def _readable(checked: Checked) -> str:
    lines = [f"policies: {checked.armed or 'none'}"]
    lines += [_place(each) for each in checked.places]
    counted = {(str(row["policy"]), str(row["label"])) for row in checked.rows}
    shown = {(each.finding.policy.name, each.finding.label) for each in checked.places}
    lines += [f"  {policy}: {label} (the request as a whole)" for policy, label in sorted(counted - shown)]
    if checked.unscanned:
        lines.append(f"not scannable by text rules: {', '.join(checked.unscanned)}")
    if checked.unasked:
        lines.append(f"not asked here: {', '.join(checked.unasked)}")
    lines.append(f"verdict: {checked.outcome}" + (f", by {checked.policy}" if checked.policy else ""))
    if checked.why:
        lines.append(f"because: {checked.why}")
    if checked.reply:
        lines.append(f"answered: {checked.reply}")
    if checked.text is not None:
        lines.append(f"sent on:\n{checked.text}")
    return "\n".join(lines)


def _place(place: Place) -> str:
    finding = place.finding
    where = ".".join(map(str, place.path)) or "text"
    acts = finding.policy.action.value if finding.policy.enforced else f"would {finding.policy.action.value}"
    return (
        f"  {where} [{finding.start}:{finding.end}] {place.scope.value}: {finding.text!r} is {finding.label} "
        f"({finding.policy.name}: {acts})"
    )


def _plain(checked: Checked) -> dict[str, Any]:
    found = {each.name: getattr(checked, each.name) for each in dataclasses.fields(checked)}
    found["places"] = [
        {
            "path": list(each.path),
            "scope": each.scope.value,
            "policy": each.finding.policy.name,
            "label": each.finding.label,
            "start": each.finding.start,
            "end": each.finding.end,
            "text": each.finding.text,
        }
        for each in checked.places
    ]
    return found
