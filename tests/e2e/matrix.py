"""One gateway, one Envoy, every provider behind it and every SDK before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import cloud_anthropic, cloud_bedrock, cloud_gemini, cloud_openai, sdk
from tests.e2e.cloud import SECRETS, Cloud
from tests.e2e.gateway import Running
from tests.e2e.upstream import Received


@dataclass(frozen=True)
class Backend:
    """Somewhere a request can go. ``thinks``: what it says of thoughts is ``yes``, ``no``, or in responses alone."""

    cloud: str
    use: str
    thinks: str = "yes"


BACKENDS = {
    "openai": Backend("openai", "openai/gpt-4o", "responses"),
    "compatible": Backend("compatible", "house/qwen3"),
    "azure": Backend("azure", "azure/main", "responses"),
    "azure classic": Backend("azure classic", "azure-classic/main", "responses"),
    "anthropic": Backend("anthropic", "anthropic/claude-sonnet-4-5"),
    "gemini": Backend("gemini", "gemini/gemini-2.5-flash"),
    "vertex gemini": Backend("vertex", "vertex/gemini-2.5-flash"),
    "vertex claude": Backend("vertex", "vertex/claude-sonnet-4-5-20250929"),
    "bedrock nova": Backend("bedrock", f"bedrock/{cloud_bedrock.NOVA}"),
    "bedrock claude": Backend("bedrock", f"bedrock/{cloud_bedrock.CLAUDE}"),
    "bedrock key": Backend("bedrock key", f"bedrock-key/{cloud_bedrock.NOVA}"),
}


def public(client: str, backend: str) -> str:
    """The model's public name. boto3's InvokeModel has Claude's body only where the name says so."""
    prefix = "anthropic.claude-" if client == "boto3 invoke" else ""
    return f"{prefix}via-{backend.replace(' ', '-')}"


class Matrix:
    """The gateway, its fakes and its clients."""

    def __init__(self, folder: Path) -> None:
        self.clouds: dict[str, Any] = {
            "openai": cloud_openai.OpenAI("openai"),
            "compatible": cloud_openai.Compatible("compatible"),
            "azure": cloud_openai.Azure("azure"),
            "azure classic": cloud_openai.AzureClassic("azure classic"),
            "anthropic": cloud_anthropic.Anthropic("anthropic"),
            "gemini": cloud_gemini.Gemini("gemini"),
            "vertex": cloud_gemini.Vertex("vertex"),
            "bedrock": cloud_bedrock.Bedrock("bedrock"),
            "bedrock key": cloud_bedrock.BedrockKey("bedrock key"),
        }
        self.keys = {
            "K_OPENAI": cloud_openai.OpenAI.key, "K_HOUSE": cloud_openai.Compatible.key,
            "K_AZURE": cloud_openai.Azure.key, "K_CLASSIC": cloud_openai.AzureClassic.key,
            "K_ANTHROPIC": cloud_anthropic.Anthropic.key, "K_GEMINI": cloud_gemini.Gemini.key,
            "K_VERTEX": self.clouds["vertex"].account(), "K_BEDROCK": cloud_bedrock.BedrockKey.key,
            "K_AWS1": cloud_bedrock.KEYS[0], "K_AWS2": cloud_bedrock.KEYS[1], "K_AWS3": cloud_bedrock.KEYS[2],
            "K_CLIENT": sdk.KEYS["secret"],
        }  # fmt: skip
        secrets = {name: value for name, value in self.keys.items() if name != "K_VERTEX"}
        SECRETS.update(secrets.values(), sdk.KEYS.values(), (cloud_gemini.Vertex.token,))
        self.gateway = Running(self._config(), folder, self.keys)
        base = self.gateway.url(tls=False)
        self.clients = {name: make(base) for name, make in sdk.CLIENTS.items()}
        self._seen: dict[str, int] = {}
        self._violations: dict[str, int] = {}

    def _config(self) -> dict[str, Any]:
        url = {name: each.url for name, each in self.clouds.items()}
        region = cloud_bedrock.REGION
        models: dict[str, Any] = {
            public(client, name): backend.use for name, backend in BACKENDS.items() for client in ("", "boto3 invoke")
        }
        return {
            "version": 1,
            "health": {"port": 0},
            "gateway": {"drain": "1s", "port": 0, "plain_port": 0, "aws_keys": {sdk.KEYS["access"]: "env:K_CLIENT"}},
            "providers": {
                "openai": {"base_url": f"{url['openai']}/v1", "keys": "env:K_OPENAI"},
                "house": {"type": "openai-compatible", "base_url": f"{url['compatible']}/house/v1", "keys": "env:K_HOUSE"},
                "azure": {"base_url": url["azure"], "keys": "env:K_AZURE"},
                "azure-classic": {"type": "azure", "base_url": url["azure classic"], "keys": "env:K_CLASSIC",
                                  "api_version": cloud_openai.AzureClassic.version},
                "anthropic": {"base_url": url["anthropic"], "keys": "env:K_ANTHROPIC"},
                "gemini": {"base_url": url["gemini"], "keys": "env:K_GEMINI"},
                "vertex": {"base_url": f"{url['vertex']}/v1", "keys": "env:K_VERTEX", "project": "p-1",
                           "location": "europe-west4"},
                "bedrock": {"base_url": url["bedrock"], "region": region, "keys": ["env:K_AWS1", "env:K_AWS2", "env:K_AWS3"]},
                "bedrock-key": {"type": "bedrock", "base_url": url["bedrock key"], "region": region,
                                "keys": "env:K_BEDROCK"},
            },
            "models": models,
            "policies": {"pii": {"kind": "pii", "find": ["email"], "action": "redact"}},
        }  # fmt: skip

    # what a test sees

    def begin(self) -> None:
        self._seen = {name: len(each.requests) for name, each in self.clouds.items()}
        self._violations = {name: len(each.violations) for name, each in self.clouds.items()}

    def received(self, backend: str) -> list[Received]:
        """What reached a backend since the test began; nothing reached any other."""
        at = BACKENDS[backend].cloud
        found = {
            name: [got for got in list(each.requests)[self._seen[name] :] if got.target != "/token"]
            for name, each in self.clouds.items()
        }
        others = {name: len(each) for name, each in found.items() if each and name != at}
        assert not others, f"requests reached others: {others}"
        return found[at]

    def end(self) -> None:
        """Nothing went wrong that a client would not notice."""
        wrong = [line for name, each in self.clouds.items() for line in each.violations[self._violations[name] :]]
        assert not wrong, "\n".join(wrong)

    def stop(self) -> None:
        for client in self.clients.values():
            client.sdk.close()
        self.gateway.stop()
        for each in self.clouds.values():
            each.stop()
        written = self.gateway.everything()
        assert "Traceback" not in written
        for secret in SECRETS:
            assert secret not in written, f"a key was logged: {secret[:8]}"
        assert not [line for line in self.gateway.lines() if line["event"] == "internal-error"]

    def cloud(self, name: str) -> Cloud:
        found: Cloud = self.clouds[name]
        return found
