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
NOVA = PROVIDERS["bedrock"].model
QUICK = {"first_byte_timeout": "400ms"}
STALL = {"idle_timeout": "500ms"}


def backend(kind: str, *, gone: bool = False) -> str:
    """How models name a provider of this kind; ``gone``: one where nobody listens."""
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
                    backends = [backend(first, gone=failure == "refused"), backend(second)]
                    quick = QUICK if failure == "silent" else {}
                    for stream in ("", "-s") if failure in ("refused", "silent") else ("",):  # two are an ejection
                        found[f"{first}-{failure}-{second}{stream}"] = {"backends": backends, **quick}
    return found


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
        **{f"only-{kind}": {"backends": [backend(kind)], **STALL} for kind in KINDS},
        **{PROVIDERS[kind].model: [backend(other(kind)), kind] for kind in KINDS},
        **{f"signed-{kind}": [f"signed/{NOVA}", backend(kind)] for kind in KINDS},
        **{f"{kind}-signed": [backend(kind), f"signed/{NOVA}"] for kind in KINDS},
        "form": ["openai/whisper-1", "azure"],
        **GROUPS,
    }
    keys = {each.variable: each.key for each in PROVIDERS.values()}
    keys |= {"SIGNED_ID": identity, "SIGNED_SECRET": secret}
    return start("mixture", keys, providers=providers, models=models, **changes)


GROUPS: dict[str, Any] = {
    f"{name}-{number}": [backend(kind) for kind in kinds]
    for name, kinds in {
        "able-last": ("anthropic", "openai"),
        "able-first": ("openai", "anthropic"),
        "able-ends": ("openai", "anthropic", "azure"),
        "able-late": ("anthropic", "bedrock", "openai", "gemini", "azure"),
        "able-sound": ("anthropic", "openai", "anthropic", "gemini"),
        "unable": ("anthropic", "bedrock"),
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
