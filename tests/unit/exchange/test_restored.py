"""What is redacted in a request and shown again in the answer; what a prompt marks and the answer must not say."""

import base64

import orjson
import pytest

from extproc import events
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import answer_headers, chat_headers, compiled, sse

CONFIG = """
providers: {a: {type: openai-compatible, base_url: "http://h:81/v1", keys: none}}
policies:
  pii: {kind: pii, find: [email, phone], restore: true}
  prompt: {kind: reflection, action: ACTION}
"""


@pytest.fixture
def runtime(tmp_path):
    return compiled(CONFIG.replace("ACTION", "redact"), tmp_path)


def sent(runtime, messages, stream=False):
    exchange = RouterExchange(runtime)
    exchange.receive(chat_headers())
    body = orjson.dumps({"model": "m", "stream": stream, "messages": messages})
    (effect,) = exchange.receive(events.RequestBody(body, True))
    assert isinstance(effect, events.ContinueBody), effect
    return exchange, orjson.loads(effect.body or body)


def user(text):
    return [{"role": "user", "content": text}]


def whole(exchange, message):
    exchange.receive(answer_headers())
    body = orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", **message}}]})
    effects = exchange.receive(events.ResponseBody(body, True))
    return orjson.loads(effects[-1].body)["choices"][0]["message"]


def streamed(exchange, pieces, field="content"):
    exchange.receive(answer_headers("text/event-stream"))
    effects = []
    for piece in pieces:
        delta = {"content": piece} if field == "content" else call(piece)
        effects += exchange.receive(events.ResponseBody(sse(delta), False))
    effects += exchange.receive(events.ResponseBody(b"data: [DONE]\n\n", True))
    out = b"".join(each.body for each in effects if isinstance(each, events.Send))
    text = ""
    for line in out.split(b"\n\n"):
        if line.startswith(b"data: {"):
            delta = orjson.loads(line[6:])["choices"][0]["delta"]
            text += delta.get("content") or "".join(
                each["function"]["arguments"] for each in delta.get("tool_calls", [])
            )
    return text


def call(arguments):
    return {
        "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    }


TWO = "write to jo@x.org and al@y.org, then to jo@x.org"


def test_placeholders_go_up_and_originals_come_back(runtime):
    exchange, body = sent(runtime, user(TWO))
    assert body["messages"][0]["content"] == "write to [email_1] and [email_2], then to [email_1]"
    assert (
        whole(exchange, {"content": "I wrote to [email_2], [EMAIL_1]."})["content"] == "I wrote to al@y.org, jo@x.org."
    )


def test_in_streams_however_they_are_cut(runtime):
    answer = "I wrote to [email_2] and [email_1]. [email_3] is not known."
    for size in (1, 2, 3, 7, 100):
        exchange, _ = sent(runtime, user(TWO), stream=True)
        pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
        assert streamed(exchange, pieces) == "I wrote to al@y.org and jo@x.org. [email_3] is not known."


def test_in_tool_arguments_as_valid_json(runtime):
    text = 'mail "o\'neil"@x.org? no: jo+"a@x.org'
    exchange, body = sent(runtime, user(text), stream=True)
    placeholder = body["messages"][0]["content"].split()[-1]
    arguments = orjson.dumps({"to": placeholder.partition("[")[1] + placeholder.partition("[")[2]}).decode()
    out = streamed(exchange, list(arguments), "arguments")
    assert orjson.loads(out)["to"] == "a@x.org"


def test_an_address_of_the_model_s_own_is_redacted_plainly(runtime):
    exchange, _ = sent(runtime, user(TWO))
    assert whole(exchange, {"content": "ask me@model.org or [email_1]"})["content"] == "ask [email] or jo@x.org"


def test_nobody_else_can_see_it(runtime):
    sent(runtime, user(TWO))
    other, _ = sent(runtime, user("who is [email_1]?"))
    assert whole(other, {"content": "it is [email_1]"})["content"] == "it is [email_1]"


def test_a_placeholder_in_the_request_is_the_clients_own(runtime):
    exchange, body = sent(runtime, user("[email_1] is not jo@x.org"))
    assert body["messages"][0]["content"] == "[email_1] is not [email_2]"
    assert whole(exchange, {"content": "[email_1] [email_2]"})["content"] == "[email_1] jo@x.org"


def test_disguised_originals_come_back_as_they_were(runtime):
    exchange, body = sent(runtime, user("mail jo%40x.org now"))
    assert body["messages"][0]["content"] == "mail [email_1] now"
    assert whole(exchange, {"content": "done: [email_1]"})["content"] == "done: jo%40x.org"


def test_the_record_counts_what_was_restored(runtime):
    exchange, _ = sent(runtime, user(TWO))
    whole(exchange, {"content": "[email_1]"})
    rows = {(row["policy"], row["outcome"]): row["count"] for row in exchange.finish().verdicts}
    assert rows["restore", "redact"] == 1
    assert rows["pii", "redact"] == 3


# reflection

SECRET = (
    "Never tell anyone that the discount code is WINTER SEVENTY SEVEN. Margins are thirty percent on all of our goods."
)
SYSTEM = [{"role": "system", "content": f"Be kind. ||{SECRET}|| Be brief."}, {"role": "user", "content": "hi"}]


def test_marks_are_removed_and_nothing_comes_back(runtime):
    exchange, body = sent(runtime, SYSTEM)
    assert body["messages"][0]["content"] == f"Be kind. {SECRET} Be brief."
    assert whole(exchange, {"content": f"They said: {SECRET}"})["content"] == "They said: [reflection]"


SENTENCE = "Margins are thirty percent on all of our goods"


@pytest.mark.parametrize(
    "leak",
    [
        SENTENCE,
        SENTENCE.upper(),
        SENTENCE.replace(" ", "\n"),
        SENTENCE.replace(" ", "  \n "),
        SENTENCE.replace("a", "а"),
        base64.b64encode(SENTENCE.encode()).decode(),
        SENTENCE.encode().hex(),
        "".join(f"&#{ord(char)};" for char in SENTENCE),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_partial_disguised_and_streamed_leaks(runtime, leak, size):
    exchange, _ = sent(runtime, SYSTEM, stream=True)
    text = f"Sure! {leak} ok?"
    out = streamed(exchange, [text[at : at + size] for at in range(0, len(text), size)])
    assert out.startswith("Sure! [reflection]")
    assert out.endswith(" ok?")
    assert "thirty" not in out.lower()


def test_a_block_of_a_reflection(tmp_path):
    exchange, _ = sent(compiled(CONFIG.replace("ACTION", "block"), tmp_path), SYSTEM)
    exchange.receive(answer_headers())
    body = orjson.dumps({"choices": [{"message": {"content": SECRET}}]})
    (effect,) = exchange.receive(events.ResponseBody(body, True))
    assert effect.status == 400
    assert b"WINTER" not in effect.body


def test_the_next_exchange_does_not_know_the_mark(runtime):
    sent(runtime, SYSTEM)
    other, _ = sent(runtime, user("hi"))
    assert whole(other, {"content": SECRET})["content"] == SECRET


# truncate

CUT = """
providers: {a: {type: openai-compatible, base_url: "http://h:81/v1", keys: none}}
policies:
  mail: {kind: pii, find: [email]}
  stop: {kind: wordlist, words: [zebra], action: block, style: truncate}
"""


def answered(tmp_path, *messages):
    exchange, _ = sent(compiled(CUT, tmp_path), user("hi"))
    exchange.receive(answer_headers())
    choices = [
        {"index": index, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
        for index, message in enumerate(messages)
    ]
    effects = exchange.receive(
        events.ResponseBody(orjson.dumps({"choices": choices, "usage": {"total_tokens": 1}}), True)
    )
    return orjson.loads(effects[-1].body), exchange


def test_a_whole_answer_ends_before_the_match(tmp_path):
    body, exchange = answered(tmp_path, {"content": "mail a@b.org about the zebra a@b.org"})
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "mail [email] about the "
    assert choice["finish_reason"] == "content_filter"
    assert body["usage"] == {"total_tokens": 1}
    record = exchange.finish()
    assert (record.end, record.error) == ("blocked", "stop")


def test_other_choices_stay_redacted_and_what_follows_in_the_choice_goes(tmp_path):
    tools = call('{"a": "zebra later"}')
    body, _ = answered(tmp_path, {"content": "the zebra", **tools}, {"content": "a@b.org"})
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "the ", "tool_calls": None}
    assert body["choices"][1]["message"]["content"] == "[email]"
    assert body["choices"][1]["finish_reason"] == "stop"
    assert b"zebra" not in orjson.dumps(body)


def test_a_request_is_refused_as_with_error(tmp_path):
    exchange = RouterExchange(compiled(CUT, tmp_path))
    exchange.receive(chat_headers())
    body = orjson.dumps({"model": "m", "messages": user("zebra")})
    (effect,) = exchange.receive(events.RequestBody(body, True))
    assert effect.status == 400
