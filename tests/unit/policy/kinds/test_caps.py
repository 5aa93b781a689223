"""Caps: how much a request may ask for, in every API's words for it."""

import pytest

from extproc.formats.base import Span
from extproc.policy.api import Outcome, Scope
from tests.unit.policy.kinds.support import ask, refused, said

CLAMP = {"kind": "caps", "max_output_tokens": {"default": 50, "max": 100}}
REJECT = {"kind": "caps", "max_output_tokens": {"max": 100, "over": "reject"}}


def output(config, **fields):
    decision, _ = ask(config, {"model": "m", "messages": [], **fields})
    return decision


def test_a_request_that_does_not_say_gets_the_default():
    assert output(CLAMP).body["max_completion_tokens"] == 50
    assert output(CLAMP, max_tokens=None, max_completion_tokens=None).body["max_completion_tokens"] == 50
    assert output({"kind": "caps", "max_output_tokens": 100}).body["max_completion_tokens"] == 100
    assert output({"kind": "caps", "max_output_tokens": {"default": 7}}).body["max_completion_tokens"] == 7
    decision = output(REJECT)
    assert (decision.outcome, decision.param) == (Outcome.BLOCK, "max_completion_tokens")
    assert "100" in decision.why


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_what_is_within_the_limit_stays(field):
    for value in (1, 99, 100, 100.0):
        decision = output(CLAMP, **{field: value})
        assert (decision.outcome, decision.edits) == (Outcome.ALLOW, [])
        assert output(REJECT, **{field: value}).outcome is Outcome.ALLOW


def test_what_is_above_is_lowered_or_refused():
    decision = output(CLAMP, max_tokens=101)
    assert (decision.outcome, decision.body["max_tokens"]) == (Outcome.REDACT, 100)
    assert "max_completion_tokens" not in decision.body
    decision = output(REJECT, max_tokens=101)
    assert (decision.outcome, decision.param) == (Outcome.BLOCK, "max_tokens")
    assert output({"kind": "caps", "max_output_tokens": {"default": 7}}, max_tokens=10**6).outcome is Outcome.ALLOW


FORMATS = [
    ("openai-chat", {}, ("max_completion_tokens",)),
    ("openai-completions", {}, ("max_tokens",)),
    ("openai-responses", {}, ("max_output_tokens",)),
    ("anthropic-messages", {}, ("max_tokens",)),
    ("anthropic-complete", {}, ("max_tokens_to_sample",)),
    ("gemini", {}, ("generationConfig", "maxOutputTokens")),
    ("gemini", {"generationConfig": None}, ("generationConfig", "maxOutputTokens")),
    ("gemini", {"generationConfig": {"topK": 1}}, ("generationConfig", "maxOutputTokens")),
    ("gemini", {"generation_config": {"topK": 1}}, ("generation_config", "maxOutputTokens")),
    ("bedrock-converse", {}, ("inferenceConfig", "maxTokens")),
    ("bedrock-converse", {"inferenceConfig": "none"}, ("inferenceConfig", "maxTokens")),
    ("bedrock-converse", {"inferenceConfig": [{"maxTokens": 5}]}, ("inferenceConfig", "maxTokens")),
]


@pytest.mark.parametrize(("format_", "body", "path"), FORMATS)
def test_every_format_gets_its_own_field(format_, body, path):
    decision, _ = ask(CLAMP, body, format=format_)
    value = decision.body
    for step in path:
        value = value[step]
    assert value == 50


@pytest.mark.parametrize(("format_", "body", "path"), FORMATS)
def test_every_formats_own_field_is_enough(format_, body, path):
    within = 5
    for step in reversed(path):
        within = {step: within}
    assert ask(CLAMP, within, format=format_)[0].edits == []


def test_gemini_takes_both_spellings():
    body = {"generation_config": {"max_output_tokens": 5}}
    assert ask(CLAMP, body, format="gemini")[0].edits == []
    assert ask(CLAMP, {"generation_config": {"max_output_tokens": 500}}, format="gemini")[0].body == {
        "generation_config": {"max_output_tokens": 100}
    }


def test_a_field_of_another_api_does_not_stand_for_ones_own():
    assert output(CLAMP, maxOutputTokens=5, inferenceConfig={"maxTokens": 5}).body["max_completion_tokens"] == 50


def test_nothing_is_added_where_nothing_is_generated():
    assert ask(CLAMP, {"input": "x"}, format="openai-embeddings")[0].edits == []
    assert ask(CLAMP, {"messages": []}, format="anthropic-messages", operation="count_tokens")[0].edits == []
    assert ask(CLAMP, {"max_tokens": 500}, operation="count_tokens")[0].body == {"max_tokens": 100}


def test_thinking_is_part_of_the_answer():
    thinking = {"type": "enabled", "budget_tokens": 5000}
    decision, _ = ask(CLAMP, {"max_tokens": 8000, "thinking": thinking}, format="anthropic-messages")
    assert decision.body["max_tokens"] == 100
    assert decision.body["thinking"] == {"type": "enabled", "budget_tokens": 99}
    config = {"generationConfig": {"maxOutputTokens": 50, "thinkingConfig": {"thinkingBudget": -1}}}
    assert ask(CLAMP, config, format="gemini")[0].body["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 99
    config["generationConfig"]["thinkingConfig"]["thinkingBudget"] = 0
    assert ask(CLAMP, config, format="gemini")[0].edits == []
    assert refused(REJECT, {"max_tokens": 50, "reasoning": {"max_tokens": 1000}}) == "output_tokens"
    extra = {"inferenceConfig": {"maxTokens": 9}, "additionalModelRequestFields": {"thinking": {"budget_tokens": 9999}}}
    assert refused(REJECT, extra, format="bedrock-converse") == "output_tokens"


def test_names_in_the_conversation_and_in_schemas_are_not_settings():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "max_tokens": {"type": "string"}}}
    body = said("x", max_tokens=5, metadata={"n": "7"}, logit_bias={"1": 2})
    body["tools"] = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    body["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    body["text"] = {"format": {"schema": schema}}
    assert refused(REJECT | {"max_choices": 1}, body) is None


TEN = "x" * 10


@pytest.mark.parametrize(
    "body",
    [
        said(TEN),
        said("xxxxx", "xxxxx"),
        said([{"type": "text", "text": "xxxx"}, {"type": "text", "text": "xxxxxx"}]),
        {"messages": [{"role": "system", "content": "xxxxx"}, {"role": "tool", "content": "xxxxx"}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": TEN}}]}]},
        {"messages": [{"role": "assistant", "content": TEN}, {"role": "user", "content": None}]},
        {"prompt": TEN},
        {"prompt": ["xxxxx", "xxxxx"]},
        {"input": [["xxxxxxxx"], "xx"]},
        {"messages": [], "tools": [{"type": "function", "function": {"description": TEN}}]},
    ],
)
def test_every_text_counts_whatever_its_role_and_form(body):
    assert refused({"kind": "caps", "max_prompt_chars": 10}, body) is None
    decision, _ = ask({"kind": "caps", "max_prompt_chars": 9}, body)
    assert (decision.outcome, decision.why) == (
        Outcome.BLOCK,
        "The request has 10 characters of text; at most 9 are accepted.",
    )


def test_prompts_of_token_numbers_count():
    for prompt in ([1, 2, 3], [[1, 2], [3]], [[1.0], [2, 3]]):
        assert refused({"kind": "caps", "max_prompt_tokens": 2}, {"prompt": prompt}) == "prompt_tokens"
        assert refused({"kind": "caps", "max_prompt_tokens": 3}, {"prompt": prompt}) is None
        assert refused({"kind": "caps", "max_prompt_chars": 11}, {"prompt": prompt}) == "prompt_chars"


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [(["a"], 1), (["abcd"], 1), (["abcde"], 2), (["a", "b"], 2), (["漢字漢字"], 3), (["😀"], 1), ([], 0)],
)
def test_tokens_are_bytes_by_four_rounded_up(texts, tokens):
    spans = [Span(("x",), Scope.USER, text) for text in texts]
    about = {"texts": lambda body: spans}
    assert refused({"kind": "caps", "max_prompt_tokens": tokens}, {}, **about) is None
    if tokens:
        assert refused({"kind": "caps", "max_prompt_tokens": tokens - 1}, {}, **about) == "prompt_tokens"


@pytest.mark.parametrize(
    "body",
    [
        {"n": 3},
        {"best_of": 3},
        {"generationConfig": {"candidateCount": 3}},
        {"generation_config": {"candidate_count": 3}},
        {"extra_body": {"n": 3}},
        {"requests": [{"params": {"n": 3}}]},
        {"N": 3},
        {"n": 1, "best_of": 3},
    ],
)
def test_choices_by_any_name_at_any_depth(body):
    assert refused({"kind": "caps", "max_choices": 2}, body) == "choices"
    assert refused({"kind": "caps", "max_choices": 3}, body) is None


def test_tools_images_and_messages_are_counted():
    tools = {"tools": [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}, {"googleSearch": {}}]}
    assert refused({"kind": "caps", "max_tools": 2}, tools) == "tools"
    assert refused({"kind": "caps", "max_tools": 3}, tools) is None
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert refused({"kind": "caps", "max_images": 1}, said([image, image])) == "images"
    assert refused({"kind": "caps", "max_images": 1}, said([image], [image])) == "images"
    assert refused({"kind": "caps", "max_images": 2}, said([image], [image])) is None
    assert refused({"kind": "caps", "max_messages": 1}, said("a", "b")) == "messages"
    assert refused({"kind": "caps", "max_messages": 1}, {"input": "x" * 99}) is None
    assert refused({"kind": "caps", "max_messages": 1}, {"contents": [{}, {}]}) == "messages"
    assert refused({"kind": "caps", "max_messages": 1}, {"messages": [{}], "input": [{}]}) == "messages"


def test_sizes_of_pictures():
    sizes = {"kind": "caps", "sizes": ["512x512", "auto"]}
    for size in ("512x512", "auto", None):
        assert refused(sizes, {"size": size}) is None
    for size in ("1024x1024", "512X512", " 512x512", 512, ["512x512"], ""):
        assert refused(sizes, {"size": size}) == "size"
    assert refused(sizes, {"tools": [{"type": "image_generation", "size": "1024x1024"}]}) == "size"
    assert ask(sizes, {"size": "x"})[0].why == "The size must be one of: 512x512, auto."


def turn(text):
    return {"messages": [{"role": "user", "content": text}]}


NOVA = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
MAKERS = [
    ("amazon.nova-lite-v1:0", NOVA, ("inferenceConfig", "maxTokens")),
    ("us.amazon.nova-pro-v1:0", {**NOVA, "inferenceConfig": {"topP": 1}}, ("inferenceConfig", "maxTokens")),
    ("meta.llama3-70b-instruct-v1:0", {"prompt": "Hi"}, ("max_gen_len",)),
    ("amazon.titan-text-express-v1", {"inputText": "Hi"}, ("textGenerationConfig", "maxTokenCount")),
    ("mistral.mistral-7b-instruct-v0:2", {"prompt": "Hi"}, ("max_tokens",)),
    ("mistral.mistral-large-2407-v1:0", turn("Hi"), ("max_tokens",)),
    ("cohere.command-r-v1:0", {"message": "Hi"}, ("max_tokens",)),
    ("cohere.command-text-v14", {"prompt": "Hi"}, ("max_tokens",)),
    ("ai21.j2-ultra-v1", {"prompt": "Hi"}, ("maxTokens",)),
    ("ai21.jamba-1-5-large-v1:0", turn("Hi"), ("max_tokens",)),
    ("openai.gpt-oss-20b-1:0", turn("Hi"), ("max_completion_tokens",)),
    ("deepseek.r1-v1:0", {"prompt": "Hi"}, ("max_tokens",)),
    # the name does not tell, the body does
    ("my-profile", {"inputText": "Hi"}, ("textGenerationConfig", "maxTokenCount")),
    ("my-profile", {**NOVA, "schemaVersion": "messages-v1"}, ("inferenceConfig", "maxTokens")),
    ("my-profile", NOVA, ("inferenceConfig", "maxTokens")),
    ("my-profile", turn("Hi"), ("max_tokens",)),
]


@pytest.mark.parametrize(("model", "body", "path"), MAKERS)
def test_invoke_model_is_limited_in_its_makers_words_alone(model, body, path):
    decision, _ = ask(CLAMP, body, model=model, format="bedrock-invoke")
    *around, last = path
    expected = {**body, last: 50} if not around else {**body, around[0]: {**body.get(around[0], {}), last: 50}}
    assert decision.body == expected
    _, name = ask(REJECT, body, model=model, format="bedrock-invoke")
    assert name == ["output_tokens"]


@pytest.mark.parametrize(("model", "body", "path"), MAKERS)
def test_invoke_model_that_is_limited_stays(model, body, path):
    *around, last = path
    limited = {**body, **({around[0]: {last: 9}} if around else {last: 9})}
    assert ask(CLAMP, limited, model=model, format="bedrock-invoke")[0].edits == []
    over = {**body, **({around[0]: {last: 900}} if around else {last: 900})}
    decision, _ = ask(CLAMP, over, model=model, format="bedrock-invoke")
    assert decision.body == {**body, **({around[0]: {last: 100}} if around else {last: 100})}


def test_another_makers_words_limit_nothing():
    decision, _ = ask(CLAMP, {"prompt": "Hi", "max_tokens": 9}, model="meta.llama3-8b", format="bedrock-invoke")
    assert decision.body["max_gen_len"] == 50
    old = {**NOVA, "inferenceConfig": {"max_new_tokens": 9}}
    assert ask(CLAMP, old, model="amazon.nova-micro-v1:0", format="bedrock-invoke")[0].edits == []


def test_a_body_nobody_knows_must_limit_itself():
    """Llama's and Mistral's look alike; a member too many is an error at either."""
    assert refused(CLAMP, {"prompt": "Hi"}, model="my-profile", format="bedrock-invoke") == "output_tokens"
    assert refused(CLAMP, {"prompt": "Hi", "max_gen_len": 9}, model="my-profile", format="bedrock-invoke") is None
    wish = {"kind": "caps", "max_output_tokens": {"default": 50}}
    decision, _ = ask(wish, {"prompt": "Hi"}, model="my-profile", format="bedrock-invoke")
    assert (decision.outcome, decision.edits) == (Outcome.ALLOW, [])
