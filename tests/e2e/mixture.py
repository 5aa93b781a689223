"""One gateway for providers of every kind, with a model group for each way one of them can stand in for another."""

from __future__ import annotations

from typing import Any

import httpx

from tests.e2e.foreign import PROVIDERS, SECRETS, Foreign
from tests.e2e.gateway import Running
from tests.e2e.harness import Case, Start, free_port
from tests.e2e.tongues import TONGUES, Said, Tongue

KINDS = tuple(PROVIDERS)
FAILURES = ("401", "429", "500", "refused", "silent")
BLIND = "openai/gpt-3.5-turbo"
"""A backend that takes texts alone."""
NOVA = PROVIDERS["bedrock"].model
TIMED = ("refused", "silent")
"""Failures of which Envoy counts only two before it leaves a backend alone for a while; of others, five."""
SAMPLE = [
    ("anthropic", "openai", "bedrock", "429"), ("anthropic", "anthropic", "openai", "401"),
    ("anthropic", "openai", "anthropic", "500"), ("anthropic", "gemini", "azure", "silent"),
    ("responses", "anthropic", "openai", "429"), ("responses", "openai", "gemini", "500"),
    ("responses", "azure", "bedrock", "401"), ("responses", "openai", "azure", "429"),
    ("gemini", "gemini", "openai", "500"), ("gemini", "anthropic", "gemini", "401"),
    ("bedrock", "bedrock", "anthropic", "429"), ("bedrock", "openai", "bedrock", "500"),
]  # fmt: skip
"""For clients of other APIs: their own, the kinds of both providers, and how the first one fails."""
LAST = {
    "chat": ("openai", "anthropic"), "responses": ("anthropic", "gemini"), "anthropic": ("gemini", "bedrock"),
    "gemini": ("bedrock", "azure"), "bedrock": ("azure", "openai"),
}  # fmt: skip
"""For clients of each API: two kinds that both fail."""
QUICK = {"first_byte_timeout": "800ms"}
STALL = {"idle_timeout": "600ms"}


def backend(kind: str, *, gone: bool = False) -> str:
    """How models name a provider of this kind; ``gone``: one where nobody listens."""
    if kind == "blind":
        return BLIND
    return f"{'gone-' if gone else ''}{kind}/{PROVIDERS[kind].model}"


def other(kind: str) -> str:
    """A kind that speaks another format."""
    return "openai" if kind == "anthropic" else "anthropic"


def _pairs() -> dict[str, Any]:
    """Each its own cluster, so that no test meets the ejections of another."""
    found: dict[str, Any] = {}
    for first in KINDS:
        for second in KINDS:
            if first != second:
                for failure in FAILURES:
                    found |= _pair(f"{first}-{failure}-{second}", first, second, failure)
    for number, (_, first, second, failure) in enumerate(SAMPLE):
        found |= _pair(f"sample-{number}", first, second, failure)
    return found


def _pair(name: str, first: str, second: str, failure: str) -> dict[str, Any]:
    backends = [backend(first, gone=failure == "refused"), backend(second)]
    group = {"backends": backends, **(QUICK if failure == "silent" else {})}
    return {name: group, f"{name}-s": group} if failure in TIMED else {name: group}


def start_mixture(start: Start, foreign: dict[str, Foreign], *, pairs: bool, **changes: Any) -> Running:
    """A gateway before these fakes; ``pairs``: with a group for each way one can stand in for another."""
    providers = {kind: PROVIDERS[kind].configured(fake.port) for kind, fake in foreign.items()}
    nobody = free_port()
    providers |= {f"gone-{kind}": PROVIDERS[kind].configured(nobody) for kind in KINDS}
    ((identity, secret),) = SECRETS.items()
    signed = {"keys": ["env:SIGNED_ID", "env:SIGNED_SECRET"]}
    providers["signed"] = {**PROVIDERS["bedrock"].configured(foreign["bedrock"].port), **signed}
    models = {
        **(_pairs() if pairs else {}),
        **{f"only-{kind}": [backend(kind)] for kind in KINDS},
        **{f"stall-{kind}": {"backends": [backend(kind)], **STALL} for kind in KINDS},
        **{PROVIDERS[kind].model: [backend(other(kind)), kind] for kind in KINDS},
        **{f"signed-{kind}": [f"signed/{NOVA}", backend(kind)] for kind in KINDS},
        **{f"{kind}-signed": [backend(kind), f"signed/{NOVA}"] for kind in KINDS},
        **{f"last-{tongue}": [*map(backend, kinds)] for tongue, kinds in LAST.items()},
        "lost": [*map(backend, ("openai", "anthropic"))],
        "used": [*map(backend, ("openai", "azure"))],
        "weighted": [{"use": backend(kind), "weight": 1} for kind in ("anthropic", "openai", "bedrock", "azure")],
        "form": ["openai/whisper-1", "azure"],
        f"{PROVIDERS['anthropic'].model}-twins": ["gone-anthropic", "anthropic"],
        **GROUPS,
    }
    keys = {each.variable: each.key for each in PROVIDERS.values()}
    keys |= {"SIGNED_ID": identity, "SIGNED_SECRET": secret}
    return start("mixture", keys, providers=providers, models=models, **changes)


TOLD: dict[tuple[str, str], Any] = {
    ("able-sound", "openai"): {"use": backend("openai"), "abilities": {"audio": True}},
    ("told-blind", "openai"): {"use": backend("openai"), "abilities": {"image": False}},
}
"""Backends in groups of which the configuration says something else than the table of models."""
GROUPS: dict[str, Any] = {
    f"{name}-{number}": [TOLD.get((name, kind), backend(kind)) for kind in kinds]
    for name, kinds in {
        "able-last": ("anthropic", "openai"),
        "able-first": ("openai", "anthropic"),
        "able-ends": ("openai", "anthropic", "azure"),
        "able-late": ("anthropic", "bedrock", "openai", "gemini", "azure"),
        "able-sound": ("anthropic", "openai", "anthropic", "gemini"),
        "unable": ("anthropic", "bedrock"),
        "blind": ("blind", "bedrock"),
        "told-blind": ("openai", "bedrock"),
        "blind-only": ("blind",),
        "others": ("openai", "azure", "gemini"),
    }.items()
    for number in range(16)
}
"""Groups of which only some backends can serve all requests; several of each, for tests in which backends fail."""


class Mixed(Case):
    """A test's view of such a gateway: asks in any client's format."""

    def ask(
        self, model: str, tongue: str = "chat", text: str = "Hello", *, stream: bool = False, usage: bool = True,
        more: dict[str, Any] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """One request; ``more`` goes into its body."""
        speaks = TONGUES[tongue]
        body = {**speaks.body(model, text, stream=stream, usage=usage), **(more or {})}
        return self.client().post(speaks.path(model, stream=stream), json=body)

    def asked_of(self) -> dict[str, int]:
        """How many requests each provider received."""
        return {name: len(found) for name in self.upstreams if (found := self.received(name))}


def understood(answer: httpx.Response, tongue: Tongue, *, stream: bool) -> Said:
    """What the client makes of a good answer."""
    assert answer.status_code == 200, answer.text
    media = answer.headers["content-type"].partition(";")[0]
    assert media == (tongue.media.partition(";")[0] if stream else "application/json")
    return tongue.stream(answer.content) if stream else tongue.whole(answer.json())
