"""Model groups: which of their backends can serve the same requests."""

import pytest

from extproc.errors import ConfigError, Refused
from extproc.exchange.planning import Wanted, choose
from extproc.framing.jsontext import dump
from tests.unit.exchange.support import compiled

CONFIG = """
providers:
  cloud: {type: bedrock, base_url: "http://127.0.0.1:1", keys: none}
  other: {type: bedrock, base_url: "http://127.0.0.1:2", keys: none}
  house: {type: openai-compatible, base_url: "http://127.0.0.1:3/v1", keys: none}
models:
  mixed: [cloud/anthropic.claude-x, other/amazon.nova-y, house/z]
  alike: [cloud/anthropic.claude-x, other/anthropic.claude-y]
  "anthropic.*": [cloud, other/amazon.nova-y]
"""


CLAUDE = "bedrock-invoke-anthropic"
ALONE = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5,
         "tools": [{"type": "web_search_20250305", "name": "web_search"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "able"),
    [
        ("mixed", ["cloud/anthropic.claude-x"]),
        ("alike", ["cloud/anthropic.claude-x", "other/anthropic.claude-y"]),
        ("anthropic.claude-z", ["cloud"]),
    ],
)
def test_a_subset_has_exactly_the_backends_that_can_serve(tmp_path, asked, able):
    """Envoy is told of a subset: whoever is in it may be tried, and cannot refuse any more."""
    group = compiled(CONFIG, tmp_path).group(asked)
    found = choose(group, Wanted("chat", CLAUDE, asked, stream=False, named=False), dump(ALONE), ALONE)
    assert [each.backend.name for each in found] == able
    name = group.subset(each.backend for each in found)
    assert [each.name for each in group.backends if name in group.subsets(each)] == able


def test_backends_of_one_kind_with_models_alike_are_one_subset(tmp_path):
    assert len(compiled(CONFIG, tmp_path).group("alike").abilities) == 1


def test_the_subsets_envoy_is_told_of_have_a_bound(tmp_path):
    types = ["openai", "groq", "mistral", "deepseek", "xai", "openrouter", "together", "cerebras", "ollama"]
    providers = ", ".join(f'{each}: {{base_url: "http://127.0.0.1:1/v1", keys: none}}' for each in types)
    compiled(f"providers: {{{providers}}}\nmodels: {{m: [{', '.join(types[:8])}]}}", tmp_path)
    with pytest.raises(ConfigError, match="more than 8 backends that speak differently"):
        compiled(f"providers: {{{providers}}}\nmodels: {{m: [{', '.join(types)}]}}", tmp_path)


CLOUD = (
    "providers: {{cloud: {{type: azure, resource: r, keys: none, {}}}}}\nmodels: {{m: [{}], n: cloud}}\nattach: []\n"
)
PLAIN = "{use: cloud/a}"


@pytest.mark.parametrize(
    ("provider", "use"),
    [
        ("deployments: {a: x}", PLAIN),
        ("deployments: {b: x}", PLAIN),
        ("names: {a: y}", PLAIN),
        ("api_version: 2024-10-21", PLAIN),
        ("base_url: 'https://r.openai.azure.com/openai'", "{use: cloud/a, abilities: {image: false}}"),
        ("base_url: 'https://r.openai.azure.com:444'", PLAIN),
    ],
)
def test_a_backend_that_speaks_or_names_otherwise_is_another(tmp_path, provider, use):
    """While a reload is under way, the id of one must not lead to the other."""
    before = compiled(CLOUD.format("remove: []", PLAIN), tmp_path).group("m")
    after = compiled(CLOUD.format(provider, use), tmp_path).group("m")
    assert before.backends[0].name == after.backends[0].name
    assert before.backends[0].id != after.backends[0].id
    assert before.slug != after.slug


def test_a_backend_that_stays_keeps_its_id(tmp_path):
    one = compiled(CLOUD.format("names: {a: y, b: z}", PLAIN), tmp_path).group("m")
    other = compiled(CLOUD.format("names: {b: z, a: y}", PLAIN), tmp_path).group("m")
    assert (one.backends[0].id, one.slug) == (other.backends[0].id, other.slug)


def test_what_no_provider_can_do_is_told_with_what_they_can(tmp_path):
    group = compiled(CONFIG, tmp_path).group("mixed")
    body = {"input": "a"}
    with pytest.raises(Refused) as caught:
        choose(group, Wanted("moderations", "openai-moderations", "mixed", stream=False), dump(body), body)
    assert (caught.value.status, caught.value.code) == (400, "unsupported_operation")
    assert caught.value.message == (
        "No provider of the model 'mixed' can do this (moderations, openai-moderations); "
        "it can do: chat, completions, count_tokens, embeddings."
    )
