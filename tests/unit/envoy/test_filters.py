"""How long Envoy waits for the processor."""

import pytest

from extproc.config.load import load
from extproc.envoy.filters import router_filter, upstream_filter

SLOW = '{kind: moderation, service: openai, url: "http://127.0.0.1:1/v1", deadline: 30s}'


@pytest.mark.parametrize(("policies", "patience"), [("{}", "4s"), (f"{{slow: {SLOW}}}", "31s")])
def test_the_router_filter_waits_longer_than_any_service_may_take(tmp_path, policies, patience):
    path = tmp_path / "extproc.yaml"
    path.write_text(f"processor: {{message_timeout: 4s}}\npolicies: {policies}\n")
    config = load(path, {"OPENAI_API_KEY": "sk"}).config
    router = router_filter(config)["typed_config"]
    assert (router["message_timeout"], router["max_message_timeout"]) == (patience, patience)
    assert upstream_filter(config)["typed_config"]["message_timeout"] == "4s"
