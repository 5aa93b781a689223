"""Policies of a guard go by what the mesh says of a request: route names, route metadata, gRPC metadata, verified tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.shop import CONFIG, Proxy, Shop, chat
from tests.e2e.shop_traffic import signed

PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"
HOST = "models.example.com"
LINES = {
    "named": {"route": "models-*"},
    "tagged": {"route": "of-metadata"},
    "called": {"route": "of-grpc"},
    "claimed": {"jwt": {"sub": "ada"}},
}
"""Policies, each for a word of its own, to what they are attached to."""


class Attached(Shop):
    """The shop, with such policies."""

    def configured(self) -> None:
        """Say so in its file."""
        policies = {name: {"kind": "wordlist", "words": [f"w{name}"], "action": "block"} for name in LINES}
        attach = [{"use": name, "to": to} for name, to in LINES.items()]
        config = {**CONFIG, "policies": policies, "attach": attach}
        (self.folder / "extproc.yaml").write_text(json.dumps(config), "utf-8")


def other(route: dict[str, Any], path: str, **more: Any) -> dict[str, Any]:
    """The same route for a path of its own, without a name."""
    return {**{key: value for key, value in route.items() if key != "name"}, "match": {"path": path}, **more}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    shop = Attached(tmp_path_factory.mktemp("attached"))
    shop.configured()
    try:
        shop.processor.start()
        path = shop.file("attached", "--guard-only")
        value = yaml.safe_load(path.read_text("utf-8").replace("!ignore ", ""))
        value.pop("shared")
        manager = value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        models = manager["route_config"]["virtual_hosts"][0]
        (route,) = models["routes"]
        filter_ = next(each["name"] for each in manager["http_filters"] if "ext_proc" in each["typed_config"]["@type"])
        said = {
            "@type": PER_ROUTE,
            "overrides": {"grpc_initial_metadata": [{"key": "x-llm-route", "value": "of-grpc"}]},
        }
        models["routes"] = [
            other(route, "/v1/messages", metadata={"filter_metadata": {"llm.extproc": {"route": "of-metadata"}}}),
            other(
                route,
                "/v1/responses",
                typed_per_filter_config={**route.get("typed_per_filter_config", {}), filter_: said},
            ),
            route,
        ]
        path.write_text(yaml.safe_dump(value, sort_keys=False), "utf-8")
        made = Proxy(path, shop.ca)
        yield made
        made.stop()
    finally:
        shop.close()


PLACES = {
    "named": (HOST, "/v1/chat/completions"),
    "tagged": (HOST, "/v1/messages"),
    "called": (HOST, "/v1/responses"),
    "claimed": ("shop.example.com", "/llm/v1/chat/completions"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("word", LINES)
def test_each_policy_holds_where_it_is_attached(proxy: Proxy, place: str, word: str) -> None:
    host, path = PLACES[place]
    body = json.dumps({"model": "m", "input": f"say w{word}"}).encode() if "responses" in path else chat(f"say w{word}")
    headers = {"content-type": "application/json", **(signed() if place == "claimed" else {})}
    answer = proxy.ask("POST", path, headers, body, host=host)
    if word == place:
        assert answer.status == 400
        assert word in answer.body.decode()
    else:
        assert answer.status == 200, answer.body
    assert answer.header("x-llm-policies") == place
