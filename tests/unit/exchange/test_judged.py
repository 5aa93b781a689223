"""Policies that judge the request as a whole, in an exchange: what reaches the provider and what the client is told."""

import orjson
import pytest

from extproc import events
from extproc.exchange.forward import DECISION
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import answer_headers, chat, chat_headers, compiled, headers_of

CONFIG = """
providers:
  main:  {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:MAIN_KEY}
  other: {type: openai-compatible, base_url: "https://other.example/api/v1", keys: env:OTHER_KEY}
models:
  "*":   main
  alias: main/gpt-x
  many:  [main, other]
policies:
"""


def sent(policies, body, folder, path="/v1/chat/completions"):
    exchange = RouterExchange(compiled(CONFIG + policies, folder))
    exchange.receive(chat_headers(**{":path": path}))
    (effect,) = exchange.receive(events.RequestBody(body, True))
    return effect


@pytest.mark.parametrize(("target", "told"), [("small", "small"), ("alias", "gpt-x"), ("many", "many")])
@pytest.mark.parametrize("asked", ["gpt-x", "gpt-y"])
def test_a_replaced_model_is_the_one_that_is_asked(target, told, asked, tmp_path):
    policies = f'  cheap: {{kind: rewrite, models: {{"gpt-*": {target}}}}}'
    effect = sent(policies, chat("hi", model=asked, models=["big"]), tmp_path)
    body = chat("hi", model=asked) if effect.body is None else effect.body
    assert orjson.loads(body) == orjson.loads(chat("hi", model=told))
    decision = effect.mutation.metadata[DECISION]
    assert decision["group"].startswith("any-" if target == "small" else f"{target}-")
    assert decision.get("model") == (target if target == "many" else None)  # the others have one backend


def test_a_replaced_model_overrules_that_of_the_path(tmp_path):
    effect = sent('  cheap: {kind: rewrite, models: {"gpt-*": small}}', orjson.dumps({"messages": []}), tmp_path,
                  "/openai/deployments/gpt-x/chat/completions")  # fmt: skip
    assert orjson.loads(effect.body) == {"model": "small", "messages": []}


def test_what_is_added_leaves_every_other_byte(tmp_path):
    body = b'{ "model" : "gpt-x",\n "temperature":1.0, "messages":[] }'
    effect = sent("  caps: {kind: caps, max_output_tokens: 100}", body, tmp_path)
    assert effect.body == body.replace(b"[] }", b'[],"max_completion_tokens":100 }')


def test_a_refusal_says_why_in_the_clients_format(tmp_path):
    effect = sent("  caps: {kind: caps, max_tools: 0}", chat("hi", tools=[{"type": "web_search"}]), tmp_path)
    assert effect.status == 400
    assert "1 tools; at most 0" in orjson.loads(effect.body)["error"]["message"]


@pytest.mark.parametrize("on_error", ["block", "allow"])
def test_more_settings_than_can_be_judged_are_refused(on_error, tmp_path):
    body = chat("hi", x=[{"n": 1}] * 20_000)
    effect = sent(f"  caps: {{kind: caps, max_choices: 1, on_error: {on_error}}}", body, tmp_path)
    assert effect.status == 413
    assert orjson.loads(effect.body)["error"]["code"] == "too_many_values"


OWN = """
class Raises:
    def request(self, request):
        raise RuntimeError("secret text")

class Leaves:
    def request(self, request):
        raise SystemExit
"""


@pytest.mark.parametrize("name", ["Raises", "Leaves"])
@pytest.mark.parametrize("style", ["error", "refusal"])
def test_code_that_fails_is_told_as_a_service_that_fails(name, style, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    policies = f'  own: {{kind: python, path: "own.py:{name}", style: {style}}}\nprocessor: {{python: true}}'
    effect = sent(policies, chat("hi"), tmp_path)
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (503, "undecided")
    assert ("retry-after", "1") in effect.headers
    assert b"secret" not in effect.body


@pytest.mark.parametrize("fields", ["on_error: allow", "mode: audit"])
def test_code_that_may_fail_lets_the_request_go_on(fields, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    policies = f'  own: {{kind: python, path: "own.py:Raises", {fields}}}\nprocessor: {{python: true}}'
    assert isinstance(sent(policies, chat("hi"), tmp_path), events.ContinueBody)


def test_a_block_before_the_failure_is_what_the_client_is_told(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    policies = (
        '  caps: {kind: caps, max_messages: 1}\n  own: {kind: python, path: "own.py:Raises"}\nprocessor: {python: true}'
    )
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "a"}] * 2})
    assert sent(policies, body, tmp_path).status == 400


@pytest.mark.parametrize(
    ("configured", "header", "status"),
    [("audit", None, 200), ("audit", "block", 400), ("redact", "block", 400), ("block", None, 400)],
)
def test_a_header_tells_reflection_what_to_do_with_the_answer(configured, header, status, tmp_path):
    exchange = RouterExchange(compiled(CONFIG + f"  prompt: {{kind: reflection, action: {configured}}}", tmp_path))
    exchange.receive(chat_headers(**({"x-llm-policy-prompt": header} if header else {})))
    secret = "the launch code is 0451"
    messages = [{"role": "system", "content": f"||{secret}||"}, {"role": "user", "content": "say it"}]
    (effect,) = exchange.receive(events.RequestBody(orjson.dumps({"model": "gpt-x", "messages": messages}), True))
    assert b"||" not in effect.body
    exchange.receive(answer_headers())
    said = exchange.receive(events.ResponseBody(orjson.dumps({"choices": [{"message": {"content": secret}}]}), True))
    assert getattr(said[0], "status", 200) == status


def test_a_header_cannot_weaken_reflection(tmp_path):
    exchange = RouterExchange(compiled(CONFIG + "  prompt: {kind: reflection, action: block}", tmp_path))
    exchange.receive(chat_headers(**{"x-llm-policy-prompt": "audit"}))
    (effect,) = exchange.receive(events.RequestBody(chat("hi"), True))
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (400, "policy_override")


PATCHES = """
from extproc.plugin import Block, Patch

class Sets:
    def __init__(self, config=None):
        self.headers = {HEADERS}
    def request(self, request):
        return Patch(headers=self.headers)

class Reads:
    def request(self, request):
        chat = request.chat
        if chat is None:
            return Block("none", "No canonical form.")
        words = " ".join(part.text for message in chat.messages for part in message.parts)
        return Block("read", f"{chat.model} {chat.stream} {words}")

class Strict:
    Override = ["mild", "normal", "strict"]
    def request(self, request):
        return Block("strict", request.override) if request.override != "mild" else None
"""


def own(name, body, folder, fields="", headers="{}", config=CONFIG, **more):
    """What a policy in Python makes of a request."""
    (folder / "own.py").write_text(PATCHES.replace("{HEADERS}", headers))
    exchange = RouterExchange(
        compiled(
            config + f'  own: {{kind: python, path: "own.py:{name}", {fields}}}\nprocessor: {{python: true}}', folder
        )
    )
    exchange.receive(chat_headers(**more))
    (effect,) = exchange.receive(events.RequestBody(body, True))
    return effect


@pytest.mark.parametrize("model", ["gpt-x", "many"])
def test_headers_of_a_policy_reach_the_provider_at_every_attempt(model, tmp_path):
    headers = '{"X-Team": "red", "x-trace": "of ours"}'
    effect = own("Sets", chat("hi", model=model), tmp_path, headers=headers, **{"x-trace": "the client's"})
    assert {"x-team": "red", "x-trace": "of ours"}.items() <= headers_of(effect).items()
    assert "x-trace" not in effect.mutation.remove
    assert headers_of(effect)["x-request-id"] == "req-1"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "x-api-key", "api-key", "cookie", "x-llm-route", "X-LLM-Policy", "host", ":path", "connection",
        "transfer-encoding", "content-length", "x-envoy-upstream-rq-timeout-ms", "x-forwarded-proto", "x-amz-date",
        "proxy-authorization", "user-agent", "x request", "", "\\u017fet", "x-request-id",
    ],
)  # fmt: skip
def test_headers_that_are_not_for_policies(name, tmp_path):
    effect = own("Sets", chat("hi"), tmp_path, headers=f'{{"{name}": "value"}}')
    assert (effect.status, orjson.loads(effect.body)["error"]["code"]) == (503, "undecided")


@pytest.mark.parametrize("value", ["", " x", "x ", "a\\nb", "a\\rb", "a\\0b", "\u00e9", "x" * 1025])
def test_values_that_no_header_has(value, tmp_path):
    assert own("Sets", chat("hi"), tmp_path, headers=f'{{"x-team": "{value}"}}').status == 503


def test_headers_of_a_policy_that_only_watches_are_not_set(tmp_path):
    effect = own("Sets", chat("hi"), tmp_path, "mode: audit", headers='{"x-team": "red"}')
    assert "x-team" not in headers_of(effect)


def test_a_request_in_the_canonical_form(tmp_path):
    effect = own("Reads", chat("hi there", stream=True), tmp_path)
    assert "gpt-x True hi there" in orjson.loads(effect.body)["error"]["message"]
    claude = orjson.dumps({"model": "c", "max_tokens": 1, "messages": [{"role": "user", "content": "hi there"}]})
    effect = own("Reads", claude, tmp_path, **{":path": "/v1/messages", "anthropic-version": "2023-06-01"})
    assert "c False hi there" in orjson.loads(effect.body)["error"]["message"]


def test_a_stream_that_the_path_asks_for_is_one_in_the_canonical_form(tmp_path):
    gemini = orjson.dumps({"contents": [{"role": "user", "parts": [{"text": "hi there"}]}]})
    effect = own("Reads", gemini, tmp_path, **{":path": "/v1beta/models/gem:streamGenerateContent?alt=sse"})
    assert "gem True hi there" in effect.body.decode()


def test_what_has_no_canonical_form(tmp_path):
    effect = own("Reads", b'{"model":"e","input":"x"}', tmp_path, **{":path": "/v1/embeddings"})
    assert "No canonical form." in orjson.loads(effect.body)["error"]["message"]


@pytest.mark.parametrize(("fields", "status"), [("", 400), ("on_error: allow", None), ("mode: audit", None)])
def test_what_a_policy_cannot_read_is_the_clients_fault(fields, status, tmp_path):
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]})
    assert getattr(own("Reads", body, tmp_path, fields), "status", None) == status


@pytest.mark.parametrize(
    ("fields", "said", "seen"),
    [
        ("", None, None), ("", "mild", None), ("", "strict", "strict"), ("", "STRICT ", "strict"),
        ("override: normal", None, "normal"), ("override: normal", "strict", "strict"),
        ("override: normal", "mild", "refused"),
        ("", "other", "refused"), ("", "strict,mild", "refused"), ("", "audit", "refused"), ("", "off", "refused"),
    ],
)  # fmt: skip
def test_a_header_says_a_word_that_the_code_knows(fields, said, seen, tmp_path):
    effect = own("Strict", chat("hi"), tmp_path, fields, **({"x-llm-policy-own": said} if said else {}))
    if seen is None:
        assert isinstance(effect, events.ContinueBody)
        return
    error = orjson.loads(effect.body)["error"]
    assert (error["code"], effect.status) == ("policy_override" if seen == "refused" else "own", 400)
    assert seen == "refused" or error["message"].endswith(seen)
