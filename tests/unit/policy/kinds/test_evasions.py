"""Attempts to get around guards by odd types, spellings and doubled meanings: none may succeed.

For limits the proof is an oracle that reads the body that goes on as a provider would: whatever was tried, it must find a
number within the limit, or the request was refused.
"""

import pytest

from extproc.framing.jsontext import dump, parse
from extproc.policy.api import Outcome
from tests.unit.policy.kinds.support import ask, refused, said

HUGE = [
    "99999", "1e9", "٩٩٩٩", " 5", "0x10", "", "null", True, False, -1, 0, -5, 1e9, 10**12, 2**63, 1e308, 100.5, 0.1, -0.0,
    [99999], [], {}, {"max_tokens": 99999}, {"value": 5}, [[5]], 101,
]  # fmt: skip
"""Values that are no whole number from 1 to 100."""
CLAMP = {"kind": "caps", "max_output_tokens": {"default": 50, "max": 100}}
REJECT = {"kind": "caps", "max_output_tokens": {"max": 100, "over": "reject"}}
OWN = {
    "openai-chat": [("max_tokens",), ("max_completion_tokens",)],
    "openai-completions": [("max_tokens",)],
    "openai-responses": [("max_output_tokens",)],
    "anthropic-messages": [("max_tokens",)],
    "gemini": [
        (one, other)
        for one in ("generationConfig", "generation_config")
        for other in ("maxOutputTokens", "max_output_tokens")
    ],
    "bedrock-converse": [("inferenceConfig", "maxTokens")],
}


def within(body, format_):
    """Whether a provider of this format is told a limit, and none above 100."""
    found = []
    for path in OWN[format_]:
        value = body
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            found.append(type(value) in (int, float) and 1 <= value <= 100)
    return bool(found) and all(found)


def nested(path, value):
    for step in reversed(path):
        value = {step: value}
    return value


@pytest.mark.parametrize(("format_", "path"), [(name, path) for name, paths in OWN.items() for path in paths])
@pytest.mark.parametrize("value", HUGE, ids=repr)
def test_no_value_is_more_than_the_limit(format_, path, value):
    body = parse(dump(nested(path, value)))
    decision, _ = ask(CLAMP, body, format=format_)
    assert decision.outcome is Outcome.REDACT
    assert within(decision.body, format_)
    assert refused(REJECT, body, format=format_) == "output_tokens"


DOUBLED = [
    {"max_tokens": 5, "max_completion_tokens": 99999},
    {"max_tokens": 99999, "max_completion_tokens": 5},
    {"max_tokens": None, "max_completion_tokens": 99999},
    {"max_tokens": 99999, "max_completion_tokens": None},
    {"max_tokens": 5, "Max_Tokens": 99999},
    {"max_tokens": 5, "MAXTOKENS": 99999},
    {"max_tokens": 5, "maxTokens": 99999},
    {"max_tokens": 5, "max-tokens": 99999},
    {"max_tokens": 5, "max_to\u212aens": 99999},  # some servers fold case by Unicode's rules
    {"max_tokens": 5, "max_token\u017f": 99999},
    {"max_tokens": 5, "extra_body": {"max_tokens": 99999}},
    {"max_tokens": 5, "options": {"num_predict": 99999}},
    {"max_tokens": 5, "options": {"num_predict": -1}},
    {"max_tokens": 5, "parameters": {"max_new_tokens": 99999}},
    {"max_tokens": 5, "generationConfig": {"maxOutputTokens": 99999}},
    {"max_tokens": 5, "inferenceConfig": {"maxTokens": 99999}},
    {"max_tokens": 5, "additionalModelRequestFields": {"max_tokens": 99999}},
    {"max_tokens": 5, "additionalModelRequestFields": {"thinking": {"budget_tokens": 99999}}},
    {"max_tokens": 5, "thinking": {"type": "enabled", "budget_tokens": "99999"}},
    {"max_tokens": 5, "reasoning": {"max_tokens": 99999}},
    {"max_tokens": 5, "requests": [{"params": {"max_tokens": 99999}}]},
    {"max_tokens": 5, "a": [[{"b": {"max_tokens": 99999}}]]},
    {"max_tokens": {"max_tokens": 5}},
    {"max_tokens": [{"max_tokens": 99999}]},
    {"messages": [{"max_tokens": 5}]},
    {"metadata": {"max_tokens": 5}},
    {"tools": [{"max_tokens": 5}]},
]


def numbers(value):
    """Every limit anywhere, as a reader that folds names would see it."""
    if isinstance(value, list):
        return [found for each in value for found in numbers(each)]
    if not isinstance(value, dict):
        return []
    own = [each for key, each in value.items() if "tok" in key.casefold() or "predict" in key]
    return own + [found for each in value.values() for found in numbers(each)]


@pytest.mark.parametrize("body", DOUBLED, ids=repr)
def test_no_second_field_is_above_the_limit(body):
    decision, _ = ask(CLAMP, body)
    assert within(decision.body, "openai-chat")
    assert all(type(each) is int and 1 <= each <= 100 for each in numbers(decision.body) if each is not None)
    assert refused(REJECT, body) == "output_tokens"


@pytest.mark.parametrize(
    "around",
    [
        "x",
        5,
        [],
        [{"maxOutputTokens": 5}],
        True,
        {"maxOutputTokens": None},
        {"max_output_tokens": "9"},
        {"MaxOutputTokens": 999},
    ],
    ids=repr,
)
def test_what_stands_around_a_limit_may_be_anything(around):
    for key in ("generationConfig", "generation_config"):
        decision, _ = ask(CLAMP, {key: around}, format="gemini")
        assert decision.outcome is Outcome.REDACT
        assert within(decision.body, "gemini")


@pytest.mark.parametrize("value", ["2", "9", 1.5, 2, -1, 0, True, [1], {"n": 1}, "١", 1e9, "", [], {}, 2**70], ids=repr)
@pytest.mark.parametrize("field", ["n", "best_of", "N", "candidateCount"])
def test_no_number_of_choices_but_the_allowed(field, value):
    body = parse(dump({"model": "m", "x": [{field: value if value != 2**70 else 1.2e21}]}))
    assert refused({"kind": "caps", "max_choices": 1}, body) == "choices"
    assert refused({"kind": "caps", "max_choices": 1}, {**body, "x": None, "n": None}) is None


MODELS = {"kind": "models", "allow": ["small"], "deny": ["big"]}


@pytest.mark.parametrize(
    "body",
    [
        {"model": "Big"},
        {"model": "big "},
        {"model": "\tbig"},
        {"model": "big-2025-01-01"},
        {"model": "BIG-LATEST"},
        {"model": "small\u200b"},
        {"model": "ｓｍａｌｌ"},
        {"model": "small/../big"},
        {"model": "small,big"},
        {"model": ["small"]},
        {"model": {"id": "small"}},
        {"model": 1},
        {"model": True},
        {"model": ""},
        {"model": "small", "Model": "big"},
        {"model": "small", "mod_el": "big"},
        {"model": "small", "models": ["small", "big"]},
        {"model": "small", "models": "big"},
        {"model": "small", "models": [["big"]]},
        {"model": "small", "models": {"0": "big"}},
        {"model": "small", "extra_body": {"models": ["big"]}},
        {"model": "small", "fallbacks": ["big"]},
        {"model": "small", "fallbacks": [{"small": ["big"]}]},
        {"model": "small", "route": {"fallback_models": ["big"]}},
        {"model": "small", "tools": [{"type": "image_generation", "Model": "big"}]},
    ],
    ids=repr,
)
def test_no_other_model(body):
    assert refused(MODELS, body, model="small")


TOOLS = {"kind": "tools", "allow": ["search"], "types": ["function"]}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": {"type": "function", "function": {"name": "shell"}}},
        {"tools": "shell"},
        {"tools": ["shell"]},
        {"tools": [["shell"]]},
        {"tools": [[{"type": "function", "function": {"name": "shell"}}]]},
        {"tools": 1},
        {"tools": True},
        {"tools": [{"type": "function", "function": {"name": ["search"]}}]},
        {"tools": [{"type": "function", "function": {"name": None}}]},
        {"tools": [{"type": "function", "function": {"name": "search", "Name": "x"}, "custom": {"name": "shell"}}]},
        {"tools": [{"type": "function", "function": {"name": "search "}}]},
        {"tools": [{"type": "function", "function": {"name": "Search"}}]},
        {"tools": [{"type": "function", "function": {"name": "search\u200b"}}]},
        {"tools": [{"type": "function", "name": "search", "function": {"name": "shell"}}]},
        {"tools": [{"type": "function", "function": {"name": "search"}, "tools": [{"name": "shell"}]}]},
        {"tools": [{"type": "function", "function": {"name": "search"}}, {"type": "mcp", "server_url": "x"}]},
        {"tools": [{"type": "FUNCTION\u200b", "function": {"name": "search"}}]},
        {"tools": [{"type": ["function"], "function": {"name": "search"}}]},
        {"Tools": [{"type": "function", "function": {"name": "shell"}}]},
        {"functions": [{"name": "shell"}]},
        {"functions": {"name": "shell"}},
        {"toolConfig": {"tools": [{"toolSpec": {"name": "shell"}}]}},
        {"tool_config": {"tools": [{"tool_spec": {"name": "shell"}}]}},
        {"extra_body": {"tools": [{"name": "shell"}]}},
        {"mcp_servers": [{"name": "search", "url": "x"}]},
        {"web_search_options": {}},
        {"plugins": [{"id": "web"}]},
    ],
    ids=repr,
)
def test_no_other_tool(body):
    assert refused(TOOLS, body)
    assert refused({"kind": "tools", "forbid": True}, body) == "forbidden"


DATA = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "IMAGE_URL", "image_url": {"url": DATA}},
        {"type": "image-url", "imageUrl": {"url": DATA}},
        {"image_url": {"url": DATA}},
        {"type": "text", "text": "x", "image_url": {"url": DATA}},
        {"type": ["image_url"], "image_url": {"url": DATA}},
        {"type": None, "image_url": [DATA]},
        {"type": "image", "source": DATA},
        {"type": "image", "Source": {"data": "AAAA"}},
        {"type": "unknown", "payload": {"deep": [{"er": " DATA:image/png;base64,AAAA"}]}},
        {"type": "text", "content": [{"type": "image", "source": {"data": "AAAA"}}]},
        {"Image": {"source": {"bytes": "AAAA"}}},
        {"inline_Data": {"mimeType": "text/plain", "data": "AAAA"}},
        {"type": "file", "file": {"file_data": DATA}},
        {"type": "tool_use", "input": {}, "image_url": {"url": DATA}},
        {"type": "custom", "args": {}, "inlineData": {"data": "AAAA"}},
    ],
    ids=repr,
)
def test_no_picture(part):
    for body in (said([part]), said(part), said([[part]]), {"input": [part]}, {"contents": part}, {"prompt": [part]}):
        assert refused({"kind": "vision"}, body)
        assert refused({"kind": "vision", "allow": ["audio", "video"]}, body)


@pytest.mark.parametrize(
    "url", ["http://x", "HTTP://x", " https://x", "//x", "ftp://x", "file:///x", "gs://x", "s3://x", "x", "", "javascript:x",
            "xdata:image/png;base64,AA", "\u200bdata:image/png;base64,AA", "https://x/data:image/png;base64,AA"], ids=repr,
)  # fmt: skip
def test_nothing_from_elsewhere(url):
    config = {"kind": "vision", "allow": ["image", "file"], "remote": "deny"}
    for part in (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "image", "source": {"type": "base64", "data": "AAAA", "url": url}},
    ):
        assert refused(config, said([part])) == "remote"


@pytest.mark.parametrize("on_error", ["block", "allow"])
def test_no_odd_body_makes_a_rule_fail(on_error):
    odd = [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        [],
        [[]],
        [None],
        {},
        {"": None},
        {"a": [{}]},
        [{"type": 5, "name": {}, "id": []}],
    ]
    names = ["messages", "input", "contents", "prompt", "tools", "functions", "toolConfig", "tool_choice", "model", "models",
             "user", "metadata", "n", "max_tokens", "generationConfig", "thinking", "size", "system", "image", "fallbacks",
             "mcp_servers", "plugins", "web_search_options", ""]  # fmt: skip
    configs = [CLAMP | {"max_choices": 1, "max_tools": 1, "max_images": 1, "max_messages": 1, "max_prompt_tokens": 1}, MODELS,
               {"kind": "tools", "allow": "x", "types": "y", "forbid_required": True}, {"kind": "vision", "remote": "deny"},
               {"kind": "identity", "require_user": True, "banned": "x"}, {"kind": "language", "deny": "Han"},
               {"kind": "autoreply", "answers": [{"text": "zz", "match": "normalised", "on": "prompt", "reply": "y"}]},
               {"kind": "reflection"}, {"kind": "rewrite", "set": {"user.x.y": 1, "n": 2}, "remove": "size"}]  # fmt: skip
    for config in configs:
        for name in names:
            for value in odd:
                ask(config | {"on_error": on_error}, {name: value})  # asserts that nothing failed
