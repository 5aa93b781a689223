"""An Envoy that others wrote: first in the shadow, where nothing changes and all is counted, then enforced on one route."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson
from prometheus_client.parser import text_string_to_metric_families

from extproc.config.model import Config
from extproc.demo.provider import Provider, Reply, Request
from extproc.demo.stage import Answer, NotSo, Stage
from extproc.envoy import binary, types
from extproc.envoy.filters import guard_filter
from extproc.envoy.layout import Layout
from extproc.envoy.process import Envoy
from extproc.envoy.processor import Processor, processor_cluster
from extproc.gateway import layout_for
from extproc.metrics import Totals
from extproc.processor import serving
from extproc.render.merge import Addition, merge
from extproc.telemetry import Log

_WITHIN: Final = 30.0
"""Seconds in which a shadow has counted: nobody waits for it."""

_CONFIG: Final = """
version: 1
policies:
  addresses: {kind: pii, find: [email], action: redact}
  codenames: {kind: wordlist, words: [project bluebird], action: block, phase: request}
"""

_ENVOY: Final = """
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {{name: models, match: {{prefix: /v1/}}, route: {{cluster: models}}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: models
    type: STATIC
    load_assignment:
      cluster_name: models
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
"""

_ASKED: Final = (
    "Say hello.",
    "Summarise what we know about Project Bluebird.",
    "Write a mail to dora.weiss@example.org.",
)


async def play(stage: Stage) -> None:
    """See the module."""
    model = Provider(_reply)
    stage.tell(
        "An Envoy that knows nothing of us routes to a model. Before we enforce anything, we want to know what it would do."
    )
    stage.show("The configuration of the processor. It names no provider, so it only guards:", _CONFIG)
    async with stage.provider(model) as url:
        text = _ENVOY.format(port=url.rpartition(":")[2])
        with tempfile.TemporaryDirectory(prefix="extproc-") as folder:
            await _acts(stage, model, text, Path(folder))


async def _acts(stage: Stage, model: Provider, text: str, folder: Path) -> None:
    runtime = stage.runtime(_CONFIG)
    layout, _ = layout_for(runtime, folder, stage.options.state)
    config = runtime.config
    log = Log("text")
    log.quiet = True
    before = await _asked(stage, layout, "before", text)
    async with serving(runtime, log, layout) as (processor, _):
        async with _envoy(stage, layout, "shadow", _with(text, config, layout, shadow=True)) as port:
            shadowed = await _answers(stage, port)
            counts = await _counted(
                processor.totals, len(_ASKED)
            )  # an Envoy that ends takes with it what was not read yet
        seen = [each.raw for each in model.requests]
        enforced = await _asked(stage, layout, "guard", _with(text, config, layout, shadow=False))
    half = len(_ASKED)
    stage.show("Three requests, and their answers without any filter:", _table(before))
    stage.show("The same after `extproc render envoy --shadow --route models --merge-into FILE`:", _table(shadowed))
    stage.show(
        "What the shadow has counted meanwhile (extproc_exchanges_total of the processor's metrics, by outcome):",
        "\n".join(f"{name}: {count:.0f}" for name, count in counts.items()),
    )
    stage.show("Enforced, with `--guard-only` instead of `--shadow`:", _table(enforced))
    stage.say("")
    stage.claim("in the shadow every answer is the same to the byte", _bodies(before) == _bodies(shadowed))
    stage.claim("and so is all that the model was sent", seen[:half] == seen[half:])
    wanted = {"allow": 1, "block": 1, "redact": 1}
    stage.claim("it has counted one request to block, one to redact, one to let pass", counts == wanted)
    stage.claim("enforced: the first passes unchanged", enforced[0].body == before[0].body)
    stage.claim("the second is blocked", enforced[1].status == 400 and b"codenames" in enforced[1].body)
    stage.claim("the third says [email] to the model and to the client", _redacted(enforced[2], model))
    told = [each for each in model.requests[2 * half :] if b"Bluebird" in each.raw]
    stage.claim("and the model has not heard of the second", not told and len(model.requests) == 3 * half - 1)


def _reply(request: Request) -> Reply:
    """The model says what it was asked."""
    said = {"role": "assistant", "content": f"You asked: {request.body['messages'][0]['content']}"}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-demo", "object": "chat.completion", "created": 1700000000, "model": "demo"}
    return Reply([orjson.dumps({**head, "choices": [choice]})])


def _with(text: str, config: Config, layout: Layout, *, shadow: bool) -> str:
    """The Envoy's file with our filter on its route, as the command makes it."""
    label, cluster = ("shadow", types.SHADOW_CLUSTER) if shadow else ("guard", types.GUARD_CLUSTER)
    found = Addition(
        label, guard_filter(config, shadow=shadow), processor_cluster(Processor(layout.processors), cluster),
        max_body=0 if shadow else config.gateway.max_body, only=("models",),
    )  # fmt: skip
    return merge(text, found, "envoy.yaml").text


@asynccontextmanager
async def _envoy(stage: Stage, layout: Layout, name: str, text: str) -> AsyncIterator[int]:
    """The Envoy with this file; its port."""
    here = replace(layout, run=layout.run / name)
    here.run.mkdir()
    here.bootstrap.write_text(text, "utf-8")
    envoy = Envoy(binary.find(stage.options.envoy), here)
    try:
        await envoy.start()
        yield envoy.ports["main"]
    finally:
        await envoy.stop()


async def _asked(stage: Stage, layout: Layout, name: str, text: str) -> list[Answer]:
    async with _envoy(stage, layout, name, text) as port:
        return await _answers(stage, port)


async def _answers(stage: Stage, port: int) -> list[Answer]:
    bodies = [{"model": "any", "messages": [{"role": "user", "content": each}]} for each in _ASKED]
    return [await stage.ask(port, each) for each in bodies]


async def _counted(totals: Totals, wanted: int) -> dict[str, float]:
    """Exchanges by what they came to, once there are so many."""
    until = asyncio.get_running_loop().time() + _WITHIN
    while asyncio.get_running_loop().time() < until:
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(totals.text().decode()):
            for sample in family.samples:
                if sample.name == "extproc_exchanges_total":
                    outcome = sample.labels["outcome"]
                    found[outcome] = found.get(outcome, 0) + sample.value
        if sum(found.values()) >= wanted:
            return dict(sorted(found.items()))
        await asyncio.sleep(0.1)
    raise NotSo("the shadow has not counted what it saw")


def _bodies(answers: Sequence[Answer]) -> list[tuple[int, bytes]]:
    return [(each.status, each.body) for each in answers]


def _table(answers: Sequence[Answer]) -> str:
    rows = []
    for asked, answer in zip(_ASKED, answers, strict=True):
        found = orjson.loads(answer.body)
        said = found["choices"][0]["message"]["content"] if "choices" in found else found["error"]["message"]
        rows.append(f"{asked}\n  {answer.status} {said}")
    return "\n".join(rows)


def _redacted(answer: Answer, model: Provider) -> bool:
    wanted = "Write a mail to [email]."
    sent = model.requests[-1].body["messages"][0]["content"]
    return sent == wanted and wanted.encode() in answer.body and b"dora" not in answer.body
