"""A moderation service in front of, beside and behind the provider: what it is told, and what its verdicts come to."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.e2e.faults import metric, until
from tests.e2e.firewall import BAD, Judge
from tests.e2e.harness import CLIENT_KEY, KEYS, Case
from tests.e2e.upstream import DONE, OPENING, Gate, chunked, completion, event, events, held, respond

SECRET = "jane.doe@example.com"


def later(case: Case, text: str, model: str, **more):
    """The request in a thread of its own."""
    return ThreadPoolExecutor(1).submit(case.post, text, model=model, **more)


def streamed(case: Case, model: str):
    return case.client().stream("POST", "/v1/chat/completions", json=case.body(model=model, stream=True))


def code(answer) -> str:
    return str(answer.json()["error"]["code"])


def said(raw: bytes) -> str:
    found = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: {")]
    return "".join(each["choices"][0]["delta"].get("content") or "" for each in found if each.get("choices"))


def nothing_left(case: Case) -> None:
    """No exchange is open and nothing held."""
    until(lambda: metric(case.gateway, "extproc_open_exchanges") == 0, "no exchange is open")
    until(lambda: metric(case.gateway, "extproc_held_bytes") == 0, "nothing is held")


# what it is told


@pytest.mark.parametrize("model", ["gpt-before", "gpt-parallel"])
def test_it_sees_redacted_texts_and_its_own_key(guarded: Case, judge: Judge, model: str) -> None:
    word = f"word-{guarded.id}"
    assert guarded.post(f"{word} I am {SECRET}", model=model).status_code == 200
    (asked,) = judge.asked(word)
    assert (asked.method, asked.target) == ("POST", "/v1/moderations")
    assert asked.json()["input"] == [f"{word} I am [email]"]
    everything = repr(asked.headers) + asked.body.decode()
    assert not [key for key in (*KEYS.values(), CLIENT_KEY, SECRET, guarded.id + '"') if key in everything]


def test_it_sees_redacted_answers(guarded: Case, judge: Judge) -> None:
    word = f"word-{guarded.id}"
    guarded.on(respond(200, completion(f"{word} write to {SECRET}")))
    assert guarded.post(model="gpt-answer").content == completion(f"{word} write to [email]")
    assert [each.json()["input"] for each in judge.asked(word)] == [[f"{word} write to [email]"]]


def test_what_rules_refuse_is_not_asked_about(guarded: Case, judge: Judge) -> None:
    word = f"word-{guarded.id}"
    headers = {"x-llm-policy": "forbidden"}
    assert guarded.post(f"{word} xyzzy", model="gpt-before", headers=headers).status_code == 400
    assert judge.asked(word) == []


# before


@pytest.mark.parametrize("stream", [False, True])
def test_before_blocks(guarded: Case, stream: bool) -> None:
    answer = guarded.post(f"so {BAD}", model="gpt-before", stream=stream)
    assert (answer.status_code, code(answer)) == (400, "before")
    assert BAD not in answer.text
    guarded.nothing_sent()
    line = guarded.log()
    assert line["verdicts"] == [{"policy": "before", "label": "violence", "outcome": "block", "count": 1}]
    assert (line["end"], line["outcome"]) == ("blocked", "block")


def test_before_the_provider_is_not_asked_until_the_verdict(guarded: Case, judge: Judge) -> None:
    gate = judge.hold(f"hold-{guarded.id}")
    answer = later(guarded, f"hold-{guarded.id}", "gpt-before")
    assert gate.reached.wait(10)
    guarded.nothing_sent()
    gate.open()
    assert answer.result().content == completion()
    assert guarded.one().json() == guarded.body(f"hold-{guarded.id}", model="gpt-before")


# parallel


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_holds_the_answers_headers(guarded: Case, judge: Judge, stream: bool) -> None:
    gate = judge.hold(f"hold-{guarded.id}")
    sent = events("Nothing ", "to see.") if stream else [completion("Nothing to see.")]
    guarded.on(chunked(200, sent, [("content-type", "text/event-stream" if stream else "application/json")]))
    answer = later(guarded, f"hold-{guarded.id}", "gpt-parallel", stream=stream)
    assert gate.reached.wait(10)
    until(lambda: guarded.received() and guarded.one().finished.is_set(), "the provider has answered")
    time.sleep(0.2)
    assert not answer.done()
    gate.open()
    assert (answer.result().status_code, answer.result().content) == (200, b"".join(sent))


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_replaces_the_answer(guarded: Case, judge: Judge, stream: bool) -> None:
    word = f"hold-{guarded.id}"
    gate = judge.hold(word)
    sent = events("MARKER ", "text") if stream else [completion("MARKER text")]
    guarded.on(chunked(200, sent, [("content-type", "text/event-stream" if stream else "application/json")]))
    answer = later(guarded, f"{word} {BAD}", "gpt-parallel", stream=stream)
    assert gate.reached.wait(10)
    until(lambda: guarded.received() and guarded.one().finished.is_set(), "the provider has answered")
    gate.open()
    assert (answer.result().status_code, code(answer.result())) == (400, "parallel")
    assert b"MARKER" not in answer.result().content
    nothing_left(guarded)


def test_parallel_a_verdict_before_the_answer(guarded: Case, judge: Judge) -> None:
    """Known before the provider says anything: the answer is refused as soon as its headers come."""
    gate = Gate()
    guarded.on(held(gate, respond(200, completion("MARKER"))))
    answer = later(guarded, f"word-{guarded.id} {BAD}", "gpt-parallel")
    until(
        lambda: judge.asked(f"word-{guarded.id}") and judge.asked(f"word-{guarded.id}")[0].finished.is_set(), "judged"
    )
    gate.open()
    assert (answer.result().status_code, code(answer.result())) == (400, "parallel")
    assert b"MARKER" not in answer.result().content


def test_it_may_take_longer_than_the_processor(guarded: Case, judge: Judge) -> None:
    """``message_timeout`` is for the processor; the service has a deadline of its own."""
    gate = judge.hold(f"hold-{guarded.id}")
    answer = later(guarded, f"hold-{guarded.id}", "gpt-before")
    assert gate.reached.wait(10)
    time.sleep(3.5)
    gate.open()
    assert answer.result().status_code == 200, answer.result().text


# answers


def test_whole_answers_are_judged(guarded: Case) -> None:
    sent = completion("All is well.")
    guarded.on(respond(200, sent), respond(200, completion(f"MARKER {BAD}")))
    assert guarded.post(model="gpt-answer").content == sent
    answer = guarded.post(model="gpt-answer")
    assert (answer.status_code, code(answer)) == (400, "answer")
    assert b"MARKER" not in answer.content


def test_streams_are_judged_in_windows(guarded: Case, judge: Judge) -> None:
    """Two windows are good, the third is not: nothing of it, or of what follows, leaves."""
    gates = [Gate(), Gate(), Gate()]
    good = [f"Sentence {number} is as long as a window of it. " for number in range(2)]
    bad = [f"MARKER {BAD} ", "MARKER and some more words that follow it. "]
    first, second, *rest = [event({"content": text}) for text in (*good, *bad)]
    last = event({"content": "MARKER"}), event({}, "stop")
    guarded.on(chunked(200, [OPENING, first, gates[0], second, gates[1], *rest, gates[2], *last]))
    raw = b""
    with streamed(guarded, "gpt-answer") as answer:
        for piece in answer.iter_raw():
            raw += piece
            for text, gate in zip(good, gates, strict=False):
                if text in said(raw):
                    gate.open()
    assert answer.status_code == 200
    assert said(raw) == "".join(good)
    assert b"MARKER" not in raw
    *_, error, done = raw.strip().split(b"\n\n")
    assert json.loads(error[6:])["error"]["code"] == "answer"
    assert done == b"data: [DONE]"
    assert guarded.one().ended.wait(10)  # the provider is told to stop
    gates[2].open()
    assert guarded.log()["end"] == "blocked"
    nothing_left(guarded)


def test_streams_that_are_good_leave_as_they_came(guarded: Case) -> None:
    sent = events(*(f"Word {number} and " for number in range(40)))
    guarded.on(chunked(200, sent))
    assert guarded.post(model="gpt-both", stream=True).content == b"".join(sent)


def test_a_stream_judged_bad_in_its_first_window(guarded: Case) -> None:
    guarded.on(chunked(200, events("MARKER ", f"{BAD} and more words than there are in one window of it.")))
    answer = guarded.post(model="gpt-answer", stream=True)
    assert (answer.status_code, code(answer)) == (400, "answer")
    assert b"MARKER" not in answer.content


def test_a_bad_word_across_windows(guarded: Case) -> None:
    """Each window begins with the end of the one before: what is cut by the border is found."""
    text = f"{'x' * 36}{BAD[:4]}"
    guarded.on(chunked(200, events(text, BAD[4:] + " and words enough for the next window to be judged.")))
    answer = guarded.post(model="gpt-answer", stream=True)
    assert BAD not in said(answer.content)
    assert guarded.log()["end"] == "blocked"


def test_the_sdk_sees_exceptions(guarded: Case) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        guarded.chat(BAD, model="gpt-before")
    assert (raised.value.code, raised.value.type) == ("before", "policy_violation")
    more = Gate()
    good = "Words enough for a window of this answer. "
    bad = event({"content": f"{BAD} and words enough for another one."})
    guarded.on(chunked(200, [event({"content": good}), more, bad, DONE]))
    got = ""
    with pytest.raises(openai.APIError) as stopped:  # noqa: PT012
        for each in guarded.chat(model="gpt-answer", stream=True):
            got += each.choices[0].delta.content or ""
            more.open()
    assert got == good
    assert stopped.value.code == "answer"
    with pytest.raises(openai.InternalServerError) as undecided:
        guarded.chat(model="gpt-500-before-block")
    assert undecided.value.code == "undecided"


# beside


def test_keep_alive_while_text_is_held(guarded: Case, judge: Judge) -> None:
    late, more = judge.hold(f"hold-{guarded.id}"), Gate()
    good = event({"content": "Words enough for a window of this answer. "})
    last = event({"content": f"hold-{guarded.id} and words enough for another one."})
    guarded.on(chunked(200, [good, more, last, DONE]))
    raw = b""
    with streamed(guarded, "gpt-answer") as answer:
        for piece in answer.iter_raw():
            raw += piece
            more.open()
            if raw.count(b": keep-alive\n\n") > 1:
                assert (b"hold-" in raw) <= late._open.is_set()
                late.open()
    assert raw.startswith(good + b": keep-alive\n\n")
    assert raw.replace(b": keep-alive\n\n", b"") == good + last + DONE


def test_watching_never_delays_and_counts(guarded: Case, judge: Judge) -> None:
    word = f"hold-{guarded.id}"
    gate = judge.hold(word)
    sent = events(f"{word} {BAD}", " and words enough for one window of it.")
    guarded.on(chunked(200, sent))
    answer = guarded.post(f"{word} {BAD}", model="gpt-watch", stream=True)
    assert (answer.status_code, answer.content) == (200, b"".join(sent))
    gate.open()
    line = guarded.log()
    assert line["outcome"] == "audit"
    assert [(each["policy"], each["label"], each["outcome"]) for each in line["verdicts"]] == [
        ("watch", "violence", "audit")
    ]


def test_a_client_that_leaves_while_it_is_judged(guarded: Case, judge: Judge) -> None:
    """Nothing stays behind: no exchange, no bytes, no call."""
    for model in ("gpt-before", "gpt-parallel", "gpt-answer"):
        word = f"hold-{guarded.id}-{model}"
        gate = judge.hold(word)
        guarded.on(respond(200, completion(word)))
        with guarded.connect() as sock:
            body = json.dumps(guarded.body(word, model=model)).encode()
            sock.sendall(guarded.head("content-type: application/json", f"content-length: {len(body)}") + body)
            until(lambda: judge.asked(word), "the judge was asked")  # noqa: B023
        (asked,) = judge.asked(word)
        assert asked.ended.wait(10), "the call goes on"
        nothing_left(guarded)
        gate.open()
    assert guarded.post(model="gpt-both").status_code == 200


def test_lag_may_leave_before_it_is_judged(guarded: Case, judge: Judge) -> None:
    late, more = judge.hold(f"hold-{guarded.id}"), Gate()
    first = event({"content": f"hold-{guarded.id} and words enough for a window, "})
    second = event({"content": "These are too far ahead of what is judged: more than sixty characters."})
    guarded.on(chunked(200, [first, more, second, DONE]))
    raw = b""
    with streamed(guarded, "gpt-lagging") as answer:
        for piece in answer.iter_raw():
            raw += piece
            more.open()
            if b": keep-alive\n\n" in raw and not late._open.is_set():  # all that may leave has left
                assert raw.startswith(first)
                assert b"These" not in raw
                late.open()
    assert raw.replace(b": keep-alive\n\n", b"") == first + second + DONE
