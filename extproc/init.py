"""``extproc init``: a first configuration file, from what is found on this machine, with comments to go on from."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from extproc.config.load import dotenv
from extproc.config.references import without_placeholders
from extproc.errors import StartupError
from extproc.found import Found, by_keys, servers
from extproc.providers.known import KNOWN


def init(options: argparse.Namespace) -> int:
    """Write the file and say what was found.

    Raises:
        StartupError: it is there already, or cannot be written.
    """
    path = Path(options.file)
    if path.exists() and not options.force:
        raise StartupError(f"{path} is there already; --force overwrites it")
    environment = {**dotenv(path.parent / ".env"), **without_placeholders(os.environ)}
    found = [*by_keys(environment), *servers()]
    _write(path, text(found), force=options.force)
    names = ", ".join(each.type for each in found)
    print(f"wrote {path}: {names or 'no key and no model server found, so clients bring their own keys'}")
    named = "" if path == Path("extproc.yaml") else f" --config {path}"
    print(f"next: extproc check{named}, then extproc run{named} -- CMD, or extproc up{named}")
    return 0


def _write(path: Path, content: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        raise StartupError(f"{path} is there already; --force overwrites it") from None
    except OSError as error:
        raise StartupError(f"{path} cannot be written: {error.strerror}") from None


def text(found: Sequence[Found]) -> str:
    """The file for these providers; for none, one where clients bring their own keys."""
    head = _HEAD if found else _HEAD + _NOTHING
    listed = found or [Found(name, {"keys": "client"}) for name in ("openai", "anthropic", "gemini")]
    providers = "".join(f"  {each.type}: {_settings(each)}\n" for each in listed)
    models = "".join(f'  "{name}": {use}\n' for name, use in _models(listed).items())
    return f"{head}\nproviders:\n{providers}{_MORE_PROVIDERS}\n{_ABOUT_MODELS}models:\n{models}{_MORE_MODELS}{_REST}"


def _settings(found: Found) -> str:
    variable = KNOWN[found.type].variable
    keys = {"keys": f"[env:{variable}]" if variable else "none"}
    pairs: Mapping[str, str] = {**keys, **found.settings}
    return "{" + ", ".join(f"{name}: {_value(value)}" for name, value in pairs.items()) + "}"


def _value(text: str) -> str:
    return f'"{text}"' if text.startswith("http") else text


def _models(listed: Sequence[Found]) -> dict[str, str]:
    """Model names to providers, the first that has a name before the others."""
    models: dict[str, str] = {}
    for each in listed:
        for name in (*each.models, *KNOWN[each.type].models, f"{each.type}/*"):
            models.setdefault(name, each.type)
    if len(listed) == 1:
        models["*"] = listed[0].type
    return models


_HEAD: Final = """\
# What llm-extproc does. Written by `extproc init` from what was found on this machine; now it is yours.
#   extproc check           is it good?          extproc config            what is in force, defaults included
#   extproc run -- CMD      try it with CMD      extproc config --schema   every key there is
version: 1
"""

_NOTHING: Final = """\

# No key was found in the environment, and no model server on this machine: clients bring their own keys. To keep keys here
# instead, put them into the environment or into a file `.env` beside this one, and write keys: [env:OPENAI_API_KEY].
"""

_MORE_PROVIDERS: Final = """\
#  house:     {type: openai-compatible, base_url: "http://vllm.example:8000/v1", keys: none}
#  london:    {type: azure, resource: my-resource, keys: ["file:/run/secrets/azure"]}
"""

_ABOUT_MODELS: Final = """\
# The name a client asks for (`*` at its end stands for anything), and who serves it. Of several the first that works does;
# they need not speak the same format. `openai/gpt-4.1` says which model, `openai` alone: the one that was asked for.
"""

_MORE_MODELS: Final = """\
#  smart: [openai/gpt-4.1, anthropic/claude-sonnet-4-5]
"""

_REST: Final = """
# `recommended` redacts personal data both ways, blocks requests with secrets, and records prompt injection.
attach:
  - {use: recommended}
#  - {use: codenames, to: {model: "gpt-*"}}
#policies:
#  codenames: {kind: wordlist, words: [project x], action: redact}
#  injection: {kind: wordlist, pack: prompt-injection, action: block, phase: request}    # instead of only recording it

# Where clients connect. `extproc run` takes free ports as long as nothing stands here.
#gateway: {address: 127.0.0.1, port: 8443, tls: auto, plain_port: 8080}
"""
