"""A signature fits one text: where a thought is edited it goes, in requests, whole answers and streams; all others stay."""

import json

import pytest

from extproc.exchange.streamed import GuardedStream
from extproc.exchange.whole import inspect
from extproc.formats.openai_responses.seals import BLANK
from extproc.formats.registry import FORMATS
from extproc.framing.aws import framed as aws
from extproc.framing.jsontext import parse
from extproc.policy.api import Phase, Tally
from extproc.usage import Meter
from tests.property.streams import chain, policy, regex

MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
SIGNED = "c2lnbmVk" * 12
BAD, GOOD = "ask ann@x.com first", "ask her first"
SEALED = f"extproc-claude-{len(SIGNED)}-{SIGNED}"
UNSEALED = json.loads(BLANK)


def anthropic(text, signature=SIGNED):
    return {"type": "thinking", "thinking": text, "signature": signature}


def bedrock(text, signature=SIGNED):
    return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}


def gemini(text, signature=SIGNED):
    return {"text": text, "thought": True, "thoughtSignature": signature}


def detail(text, signature=SIGNED):
    return {"type": "reasoning.text", "text": text, "signature": signature, "index": 0}


def chat(text, signature=SIGNED):
    return {"role": "assistant", "content": "so", "reasoning_details": [detail(text, signature)]}


def responses(text, signature=SEALED):
    summary = [{"type": "summary_text", "text": text}]
    return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": signature}


WHOLE = {
    "anthropic-messages": (anthropic, lambda thought: {"role": "assistant", "content": [thought]}),
    "bedrock-invoke-anthropic": (anthropic, lambda thought: {"role": "assistant", "content": [thought]}),
    "bedrock-converse": (bedrock, lambda thought: {"output": {"message": {"role": "assistant", "content": [thought]}}}),
    "gemini": (gemini, lambda thought: {"candidates": [{"content": {"role": "model", "parts": [thought]}}]}),
    "openai-chat": (chat, lambda thought: {"choices": [{"index": 0, "message": thought}]}),
    "openai-responses": (responses, lambda thought: {"object": "response", "output": [thought]}),
}
ASKED = {
    "anthropic-messages": (anthropic, lambda thought: {"messages": [{"role": "assistant", "content": [thought]}]}),
    "bedrock-converse": (bedrock, lambda thought: {"messages": [{"role": "assistant", "content": [thought]}]}),
    "gemini": (gemini, lambda thought: {"contents": [{"role": "model", "parts": [thought]}]}),
    "openai-chat": (chat, lambda thought: {"messages": [thought]}),
    "openai-responses": (responses, lambda thought: {"input": [thought]}),
}
CASES = [
    *((name, Phase.RESPONSE, *case) for name, case in WHOLE.items()),
    *((name, Phase.REQUEST, *case) for name, case in ASKED.items()),
]


def run(name, phase, body, *policies):
    raw = json.dumps(body).encode()
    return raw, inspect(FORMATS[name], chain(policies or (MAIL,)), phase, raw, parse(raw), Tally())[1]


@pytest.mark.parametrize(("name", "phase", "thought", "wrap"), CASES)
def test_an_edited_thought_has_no_signature(name, phase, thought, wrap):
    _, out = run(name, phase, wrap(thought(BAD)))
    blank = UNSEALED if name == "openai-responses" else ""
    assert json.loads(out) == wrap(thought("ask [mail] first", blank))


@pytest.mark.parametrize(("name", "phase", "thought", "wrap"), CASES)
def test_any_other_keeps_it(name, phase, thought, wrap):
    raw, out = run(name, phase, wrap(thought(GOOD)))
    assert out == raw


def test_only_the_thought_that_was_edited_loses_it():
    blocks = [anthropic(GOOD), {"type": "text", "text": BAD}, anthropic(BAD), anthropic(GOOD)]
    _, out = run("anthropic-messages", Phase.RESPONSE, {"content": blocks})
    assert [each.get("signature") for each in json.loads(out)["content"]] == [SIGNED, None, "", SIGNED]


def test_what_openai_has_sealed_itself_stays():
    body = {"output": [responses(BAD, "gAAAAABk" * 12)]}
    _, out = run("openai-responses", Phase.RESPONSE, body)
    assert json.loads(out) == {"output": [responses("ask [mail] first", "gAAAAABk" * 12)]}


def test_a_call_of_gemini_keeps_its_own():
    part = {"functionCall": {"name": "send", "args": {"to": "ann@x.com"}}, "thoughtSignature": SIGNED}
    _, out = run("gemini", Phase.RESPONSE, {"candidates": [{"content": {"parts": [part]}}]})
    assert json.loads(out)["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"name": "send", "args": {"to": "[mail]"}}, "thoughtSignature": SIGNED}
    ]


def test_a_signature_that_comes_behind_its_text_goes_too():
    parts = [{"text": BAD}, {"text": "", "thought_signature": SIGNED}, {"text": GOOD, "thought": True}]
    _, out = run("gemini", Phase.RESPONSE, {"candidates": [{"content": {"parts": parts}}]})
    found = json.loads(out)["candidates"][0]["content"]["parts"]
    assert found[1] == {"text": "", "thought_signature": ""}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("odd", [[], {}, "x", None, [1], {"index": []}, {"index": {}, "delta": {"signature": "x"}}])
def test_what_is_no_message_signs_nothing(name, odd):
    for key in ("messages", "choices", "content", "output", "input", "candidates", "contents", "contentBlockDelta"):
        for value in (odd, [odd]):
            list(FORMATS[name].signed({key: value, "item": value, "message": value, "response": value}))
    list(FORMATS[name].signed(odd))


# streams


def sse(*events):
    return b"".join(
        (f"event: {each['type']}\n" if "type" in each else "").encode()
        + b"data: "
        + json.dumps(each).encode()
        + b"\n\n"
        for each in events
    )


def guarded(name, raw, size):
    format_ = FORMATS[name]
    stream = GuardedStream(format_, chain((MAIL,)), Tally(), Meter(format_), 1 << 20, 1 << 20)
    out = [stream.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
    return b"".join([*out, stream.close()])


def thinking(index, words, signature=SIGNED):
    head = {"type": "content_block_start", "index": index, "content_block": {"type": "thinking", "thinking": ""}}
    said = [{"type": "thinking_delta", "thinking": each} for each in words]
    return [
        head,
        *({"type": "content_block_delta", "index": index, "delta": each} for each in said),
        {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": "signature_delta", "signature": signature},
        },
        {"type": "content_block_stop", "index": index},
    ]


def thoughts(index, words, signature=SIGNED):
    said = [{"text": each} for each in words] + [{"signature": signature}]
    return b"".join(
        aws(
            "contentBlockDelta",
            json.dumps({"contentBlockIndex": index, "delta": {"reasoningContent": each}}).encode(),
        )
        for each in said
    ) + aws("contentBlockStop", json.dumps({"contentBlockIndex": index}).encode())


def chunk(delta):
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def details(words, signature=SIGNED):
    said = [{"type": "reasoning.text", "text": each, "index": 0} for each in words]
    last = {"type": "reasoning.text", "text": "", "signature": signature, "index": 0}
    return [
        *(chunk({"content": "", "reasoning_content": each["text"], "reasoning_details": [each]}) for each in said),
        chunk({"reasoning_details": [last]}),
        chunk({"content": "so"}),
    ]


def parts(words, signature=SIGNED):
    said = [*({"text": each, "thought": True} for each in words), {"text": "", "thought": True}]
    said[-1]["thoughtSignature"] = signature
    said.append({"text": "so"})
    return [{"candidates": [{"content": {"parts": [each], "role": "model"}, "index": 0}]} for each in said]


def items(words, signature=SEALED):
    text = "".join(words)
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": signature}
    place = {"output_index": 0, "summary_index": 0, "item_id": "rs_1"}
    whole = responses(text, signature)
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "encrypted_content": ""}},
        *({"type": "response.reasoning_summary_text.delta", **place, "delta": each} for each in words),
        {"type": "response.reasoning_summary_text.done", **place, "text": text},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed", "response": {"object": "response", "output": [whole]}},
    ]


STREAMS = {
    "anthropic-messages": lambda *of: sse(*thinking(0, *of)),
    "bedrock-converse": lambda *of: thoughts(0, *of),
    "openai-chat": lambda *of: sse(*details(*of)) + b"data: [DONE]\n\n",
    "gemini": lambda *of: sse(*parts(*of)),
    "openai-responses": lambda *of: sse(*items(*of)),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", STREAMS)
def test_in_streams_too(name, size):
    stream = STREAMS[name]
    assert SIGNED.encode() not in guarded(name, stream(["ask an", "n@x", ".com fir", "st"]), size)
    good = stream(["ask he", "r first"])
    assert guarded(name, good, size) == good


@pytest.mark.parametrize("name", STREAMS)
def test_even_where_the_text_is_decided_last(name):
    """What is held back at the end of the thought is edited after the signature has come."""
    assert SIGNED.encode() not in guarded(name, STREAMS[name](["ask ann@x.com"]), 1 << 20)


def test_of_two_thoughts_in_a_stream_one_keeps_it():
    good = sse(*thinking(1, ["I ask her"]))
    bad = sse(*thinking(0, ["I mail ann@x.com now"]))
    text = {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}}
    out = guarded("anthropic-messages", bad + sse(text) + good, 5)
    assert out.endswith(good)
    assert out.count(SIGNED.encode()) == 1
    assert b'"signature_delta", "signature": ""' in out


def test_a_match_over_two_thoughts_takes_both():
    out = guarded("anthropic-messages", sse(*thinking(0, ["mail ann@"]), *thinking(1, ["x.com now"])), 9)
    assert SIGNED.encode() not in out


def test_many_repeats_are_edited_without_being_parsed_first():
    words = ["so ", "ask ", "him ", "or ", "her ", "at ", "ann", "@x.com ", "or ", "not"]
    out = guarded("anthropic-messages", sse(*thinking(0, words)), 1 << 20)
    assert b"[mail]" in out
    assert SIGNED.encode() not in out
