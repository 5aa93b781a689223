"""OpenAI audio: no string escapes, what is said twice is redacted twice, and SDKs read what we say."""

import dataclasses
import json

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.audio import TranscriptionVerbose
from openai.types.audio.transcription import Transcription
from openai.types.audio.transcription_diarized import TranscriptionDiarized

from extproc.chat.answer import Usage
from extproc.formats import openai_audio
from extproc.formats.openai_audio import OpenAIAudio, sound
from extproc.framing import multipart
from extproc.policy.api import Outcome, Phase, Scope, Style
from tests.property.streams import DONE, events
from tests.support import data
from tests.unit.formats.media import BLOB, MAIL, PHONE, PROSE, STOP, TOKEN, Run, leaves, same, unseen, whole
from tests.unit.policy.kinds.support import compiled

FORMAT = OpenAIAudio()

SPEECH = {
    "model": "gpt-4o-mini-tts",
    "input": "Hello",
    "voice": {"id": "voice_1"},
    "instructions": "Speak slowly.",
    "response_format": "mp3",
    "stream_format": "sse",
    "speed": 1.0,
    "something_new": ["x"],
}
FORM = {
    "file": {"filename": "jane@example.com.wav", "content_type": "audio/wav"},
    "model": "gpt-4o-transcribe",
    "prompt": "Names: Jane",
    "language": "en",
    "languages": ["en", "de"],
    "keywords": ["Jane"],
    "known_speaker_names": ["Anna"],
    "known_speaker_references": [BLOB],
    "temperature": 0.2,
    "response_format": "verbose_json",
    "timestamp_granularities": ["word"],
    "include": ["logprobs"],
    "chunking_strategy": {"type": "server_vad", "threshold": "0.5"},
    "stream": "true",
}
VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 8.5,
    "text": "Call 555 123 4567 now.",
    "segments": [
        {"id": 0, "seek": 0, "start": 0.0, "end": 4.0, "text": " Call 555 123", "tokens": [1], "temperature": 0.0,
         "avg_logprob": -0.2, "compression_ratio": 1.2, "no_speech_prob": 0.1},
        {"id": 1, "seek": 0, "start": 4.0, "end": 8.0, "text": " 4567 now.", "tokens": [2], "temperature": 0.0,
         "avg_logprob": -0.2, "compression_ratio": 1.2, "no_speech_prob": 0.1},
    ],
    "words": [{"word": word, "start": 0.0, "end": 1.0} for word in ("Call", "555", "123", "4567", "now")],
    "usage": {"type": "duration", "seconds": 9},
}  # fmt: skip
DIARIZED = {
    "task": "transcribe",
    "duration": 4.0,
    "text": "Hi. Hello.",
    "segments": [
        {"type": "transcript.text.segment", "id": "seg_1", "start": 0.0, "end": 2.0, "text": "Hi.", "speaker": "Anna"},
        {"type": "transcript.text.segment", "id": "seg_2", "start": 2.0, "end": 4.0, "text": "Hello.", "speaker": "B"},
    ],
    "usage": {"type": "tokens", "input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}
TOKENS = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
    "output_tokens": 5,
    "total_tokens": 19,
}


def token(text, **more):
    return {"token": text, "logprob": -0.1, "bytes": list(text.encode()), **more}


def delta(text, **more):
    return {"type": "transcript.text.delta", "delta": text, **more}


def done(text, **more):
    return {"type": "transcript.text.done", "text": text, "usage": TOKENS, **more}


def segment(text, speaker="A"):
    return {"type": "transcript.text.segment", "id": "s", "start": 0.0, "end": 1.0, "text": text, "speaker": speaker}


EVENTS = [
    delta("Hello", logprobs=[token("Hello")], segment_id="seg_1"),
    segment("Hello", "Anna"),
    done("Hello", logprobs=[token("Hello")], languages=[{"code": "en"}]),
    {"type": "speech.audio.delta", "audio": "QUJD" * 40},
    {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}},
    {"error": {"message": "no", "type": "server_error", "param": "file", "code": "x"}},
]
ERROR = {"error": {"message": "Invalid file format.", "type": "invalid_request_error", "param": "file", "code": "x"}}

# Names whose value is not looked at while it is one short token, as it always is; any prose under them is.
STRUCTURE = {
    "model", "type", "id", "object", "task", "language", "languages", "voice", "response_format", "stream_format",
    "stream", "include", "timestamp_granularities", "content_type", "segment_id", "obfuscation",
}  # fmt: skip
BINARY = {"audio", "known_speaker_references"}
EXPECTED = {(each, TOKEN) for each in STRUCTURE} | {(each, BLOB) for each in BINARY}
LOGPROBS = {("token", marker) for marker in (PROSE, TOKEN, BLOB)}


# no string escapes


def test_the_list_of_structure_is_the_codes():
    assert STRUCTURE == openai_audio._SKIP


@pytest.mark.parametrize("body", [SPEECH, FORM])
def test_no_string_of_a_request_escapes(body):
    assert unseen(body, FORMAT.request_spans) <= EXPECTED
    assert len(list(leaves(body))) >= 7


@pytest.mark.parametrize("body", [VERBOSE, DIARIZED, ERROR, *EVENTS])
def test_no_string_of_an_answer_or_event_escapes(body):
    allowed = EXPECTED | (LOGPROBS if "logprobs" in body else set())
    assert unseen(body, FORMAT.response_spans) <= allowed
    assert unseen(body, lambda value: FORMAT.delta(value).pieces) <= allowed


@pytest.mark.data
def test_no_string_of_a_recorded_answer_escapes():
    found = json.loads((data("wire/openai_other") / "aigw__audio-transcription-basic.json").read_text("utf-8"))
    body = json.loads(found["exchanges"][0]["response"]["body"])
    assert unseen(body, FORMAT.response_spans) <= EXPECTED
    assert FORMAT.usage(body) == Usage(seconds=7.0)
    assert len(list(leaves(body))) == 2


NAMES = st.sampled_from(["", "text", "delta", "segments", "words", "logprobs", "id", "audio", "usage", "new", "type"])
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(ANY)
def test_no_string_escapes_wherever_it_stands(body):
    echoes = FORMAT.echoes(body, set())
    for path in leaves(body):
        known = {span.path for span in FORMAT.response_spans(body)}
        pieces = {piece.path for piece in FORMAT.delta(body).pieces}
        assert path in known or path[:1] in known or path[:1] in echoes
        assert path in pieces or path[:1] in pieces or path[:1] in echoes
        if isinstance(body, dict):
            assert path in {span.path for span in FORMAT.request_spans(body)}


@given(ANY, st.sets(st.sampled_from([("text",), ("delta",), ("words",), ("new",)])))
def test_no_json_is_too_odd(body, changed):
    FORMAT.usage(body)
    FORMAT.ending().see(body)
    assert all(len(path) == 1 for path in FORMAT.echoes(body, changed))
    if isinstance(body, dict):
        assert FORMAT.streamed(body) in (True, False)
        assert FORMAT.unscanned(body) in ([], ["audio"])


def test_names_of_members_are_texts():
    for body in ({"jane doe": 1}, {"words": [{"jane doe": 1}]}, {"usage": {"jane doe": 1}}):
        assert [(span.text, span.fixed) for span in FORMAT.response_spans(body)] == [("jane doe", True)]
    assert [span.text for span in FORMAT.request_spans({"jane doe": 1})] == ["jane doe"]


# requests


def test_whose_words_they_are():
    assert {span.text: span.scope for span in FORMAT.request_spans(SPEECH)} == {
        "Hello": Scope.USER,
        "Speak slowly.": Scope.SYSTEM,
        "x": Scope.USER,
    }
    assert {span.scope for span in FORMAT.response_spans(VERBOSE)} == {Scope.ASSISTANT}


def test_what_no_rule_can_read():
    assert FORMAT.unscanned(SPEECH) == []
    assert FORMAT.unscanned(FORM) == ["audio"]
    assert FORMAT.unscanned({"known_speaker_references": [BLOB]}) == ["audio"]
    assert [sound(media) for media in ("audio/mpeg", "application/octet-stream", "text/plain", "application/json")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_whether_a_stream_is_asked_for():
    assert [FORMAT.streamed(body) for body in (SPEECH, FORM, {"stream": True}, {"stream": "false"}, {})] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_personal_data_and_secrets_are_found_in_a_form():
    pii = compiled({"kind": "pii", "find": ["email"], "action": "redact"})
    secrets = compiled({"kind": "secrets", "action": "redact"})
    key = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    body = {**FORM, "prompt": f"Write to jane@example.com with {key}", "keywords": ["joe@example.com"]}
    decision, left = whole(FORMAT, body, pii, secrets, phase=Phase.REQUEST)
    assert decision.outcome is Outcome.REDACT
    assert "@" not in json.dumps(left)
    assert "16C7e42F" not in left["prompt"]
    assert left["prompt"].startswith("Write to [")
    head = b'Content-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    parts = [
        head % (b"model", b"", b"m"),
        head % (b"prompt", b"", b"I am jane@example.com"),
        head % (b"file", b'; filename="jane@example.com.wav"', b"RIFF jane@example.com"),
    ]
    raw = b"".join(b"--b\r\n" + part for part in parts) + b"--b--\r\n"
    form = multipart.parse("multipart/form-data; boundary=b", raw, FORMAT.form)
    _, left = whole(FORMAT, form.value(), pii, phase=Phase.REQUEST)
    sent, _ = form.build(left)
    assert sent.count(b"jane@example.com") == 1
    assert b"\r\n\r\nRIFF jane@example.com\r\n" in sent


def test_personal_data_and_secrets_are_found_in_an_answer():
    pii = compiled({"kind": "pii", "find": ["email"], "action": "redact"})
    secrets = compiled({"kind": "secrets", "action": "redact"})
    text = "jane@example.com says ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    _, left = whole(FORMAT, {"text": text}, pii, secrets)
    assert "jane" not in left["text"]
    assert "16C7e42F" not in left["text"]
    out = Run(FORMAT, [pii, secrets], [b"".join(framed(delta(each)) for each in text) + framed(done(text))]).out
    assert "".join(each.get("delta", "") for each in events(out)) == events(out)[-1]["text"] == left["text"]


def framed(event):
    return b"data: " + json.dumps(event).encode() + b"\n\n"


# what is said twice


def test_a_match_over_segments_and_words_leaves_in_none_of_them():
    _, left = whole(FORMAT, VERBOSE, PHONE)
    assert left == {**VERBOSE, "text": "Call [phone] now.", "segments": None, "words": None}
    assert TranscriptionVerbose.model_validate(left).segments is None
    assert whole(FORMAT, VERBOSE, MAIL)[1] == VERBOSE


@pytest.mark.parametrize("key", ["segments", "words"])
def test_a_list_that_says_something_else_than_the_text_is_inspected_as_well(key):
    body = {"text": "Nothing.", "segments": [{"text": "hi "}], "words": [{"word": "hi"}]}
    for parts in (["a@b.com"], ["555 ", "123 4567"] if key == "segments" else ["555", "123", "4567"]):
        said = [{"text" if key == "segments" else "word": part} for part in parts]
        _, left = whole(FORMAT, {**body, key: said}, MAIL, PHONE)
        assert left == {**body, "segments": None, "words": None}
    for said in ([{"speaker": "forbidden"}], [{"text": "un"}, {"text": "forbidden"}]):
        decision, _ = whole(FORMAT, {**body, key: said}, STOP)
        assert decision.outcome is Outcome.BLOCK


@pytest.mark.parametrize(
    ("logprobs", "kept"),
    [
        ([token("he"), token("y")], True),
        ([{"token": "hey"}], True),
        ([], True),
        (None, True),
        ([token("hey", bytes=[104.0, 101.0, 121.0])], True),
        ([token("he")], False),
        ([token("jane@example.com")], False),
        ([token("he"), token("y", note="jane@example.com")], False),
        ([token("hey", bytes=list(b"you"))], False),
        ([token("hey", bytes="you")], False),
        ([token("hey", bytes=[999])], False),
        ([token("hey", bytes=["x"])], False),
        ([token("hey", logprob="jane")], False),
        ([{"bytes": [104, 101, 121]}], False),
        (["hey"], False),
        ("hey", False),
        ({"a": 1}, False),
    ],
)
def test_log_probabilities_stay_only_where_they_repeat_exactly_what_was_inspected(logprobs, kept):
    for body in ({"text": "hey", "logprobs": logprobs}, delta("hey", logprobs=logprobs)):
        assert FORMAT.echoes(body, set()) == ([] if kept else [("logprobs",)])
        assert FORMAT.echoes(body, {("text",)}) == ([("logprobs",)] if logprobs else [])


def test_a_part_of_a_character_has_no_text_of_its_own():
    tokens = [{"token": "?", "bytes": [195]}, {"token": "?", "bytes": [169]}]
    assert FORMAT.echoes({"text": "é", "logprobs": tokens}, set()) == []
    assert FORMAT.echoes({"new": "x", "logprobs": tokens}, set()) == [("logprobs",)]


def test_an_answer_is_cut_where_it_is_stopped():
    stop = dataclasses.replace(STOP, style=Style.TRUNCATE)
    body = {"text": "this is forbidden here", "segments": [{"text": "this is forbidden here"}], "duration": 3}
    decision, left = whole(FORMAT, {**body, "logprobs": [token("x")]}, stop)
    assert decision.outcome is Outcome.BLOCK
    assert left == {"text": "this is ", "segments": None, "logprobs": None, "duration": 3}
    assert FORMAT.cut({"error": "x y"}, ("error",), "x") == {("error",): b'"x"'}
    assert FORMAT.cut([], (), "x") == {(): b'"x"'}


# streams


def test_a_match_over_deltas_is_redacted_everywhere():
    text = "Write to jo.doe@example.com. Bye"
    parts = ["Write", " to jo", ".doe@ex", "ample.com", ". Bye"]
    run = same(FORMAT, [MAIL], *[delta(each, logprobs=[token(each)]) for each in parts], done(text))
    found = events(run.out)
    assert "".join(each.get("delta", "") for each in found) == found[-1]["text"] == "Write to [mail]. Bye"
    assert "jo.doe" not in run.out.decode()
    assert "jo" not in json.dumps([each.get("logprobs") for each in found])
    assert found[0] == delta("Write", logprobs=[token("Write")])
    assert run.meter.usage == Usage(input=14, output=5, audio_input=10)


def test_a_text_that_ends_with_half_a_match_leaves_before_the_end_does():
    run = same(FORMAT, [MAIL], delta("Write to jo.doe@exam"), done("Write to jo.doe@exam"))
    assert [each.get("delta", each.get("text")) for each in events(run.out)] == ["Write to jo.doe@exam"] * 2


def test_deltas_continue_over_segments_and_segments_are_looked_at_alone_and_together():
    run = same(FORMAT, [PHONE], delta("555 123"), segment("555 123"), delta(" 4567"), segment("4567"), done("x"))
    assert run.blocked is PHONE
    assert b"4567" not in run.out
    run = same(FORMAT, [PHONE], delta("Hi 555 123 4567"), segment("Hi 555 123 4567"), done("Hi 555 123 4567"))
    assert [each.get("delta", each.get("text")) for each in events(run.out)] == ["Hi [phone]"] * 3


def test_a_list_that_is_looked_at_twice_does_not_continue_itself():
    last = done("x", segments=[{"text": "4567 now 555 123 "}])
    run = same(FORMAT, [PHONE], last)
    assert (run.blocked, events(run.out)) == (None, [last])


def test_the_whole_does_not_continue_its_last_segment():
    said = [each("4567 now 555 123") for each in (delta, segment, done)]
    run = same(FORMAT, [PHONE], *said)
    assert (run.blocked, events(run.out)) == (None, said)


def test_what_is_not_touched_keeps_its_bytes_and_its_order():
    raw = b'data:{"type" :"transcript.text.delta", "delta":"\\u0041 b","x":1.50}\n\n'
    stream = raw + framed(segment("A b")) + framed(done("A b", segments=[{"text": "A b"}], words=[])) + DONE.encode()
    assert Run(FORMAT, [MAIL, STOP], [stream]).out == stream
    speech = framed({"type": "speech.audio.delta", "audio": "QUJD" * 40}) + framed(EVENTS[4])
    assert Run(FORMAT, [MAIL, STOP], [speech]).out == speech


def test_a_blocked_stream_ends_in_an_error():
    run = same(FORMAT, [STOP], delta("This is "), delta("forbidden"), done("This is forbidden"))
    assert run.blocked is STOP
    *_, error, end = events(run.out)
    assert error["error"]["code"] == "stop"
    assert end == "[DONE]"


def test_the_events_of_a_stream():
    assert FORMAT.delta(delta("x")).pieces[0].track == FORMAT.delta(delta("y", segment_id="s2")).pieces[0].track
    ended = FORMAT.delta(done("x"))
    assert ended.final
    assert ended.closes == (FORMAT.delta(delta("x")).pieces[0].track,)
    assert {FORMAT.delta(each).lane for each in EVENTS} == {"events"}
    assert all(FORMAT.delta(each).telling for each in EVENTS)
    assert FORMAT.without_padding(b"x") == b"x"


# what we say


def client(answer, media="application/json", status=200):
    transport = httpx.MockTransport(
        lambda _: httpx.Response(status, content=answer, headers={"content-type": f"{media}; charset=utf-8"})
    )
    return openai.OpenAI(
        api_key="k", base_url="http://h/v1", http_client=httpx.Client(transport=transport), max_retries=0
    )


def transcribe(one, **more):
    return one.audio.transcriptions.create(file=b"x", model="m", **more)


def test_a_reply_is_an_answer_to_the_sdk():
    raw = FORMAT.reply('no "jokes"', "m", "r", 1, refuses=True)
    Transcription.model_validate_json(raw, strict=True)
    with client(raw) as one:
        assert transcribe(one).text == 'no "jokes"'
    with client(FORMAT.reply_stream("no\njokes", "m", "r", 1), "text/event-stream") as one:
        said = list(transcribe(one, stream=True))
    assert [each.type for each in said] == ["transcript.text.delta", "transcript.text.done"]
    assert (said[0].delta, said[1].text, said[1].usage.total_tokens) == ("no\njokes", "no\njokes", 0)


def test_an_error_in_the_middle_of_a_stream_is_one_to_the_sdk():
    stream = framed(delta("Hello")) + FORMAT.error_event("blocked", "No.", "policy_violation")
    with client(stream, "text/event-stream") as one:
        said = iter(transcribe(one, stream=True))
        assert next(said).delta == "Hello"
        with pytest.raises(openai.APIError, match=r"No\."):
            next(said)


def test_a_stream_can_be_ended_at_any_time():
    ending = FORMAT.ending()
    assert events(ending.end("")) == [{**done(""), "usage": {"type": "tokens", **openai_audio._NOTHING}}]
    ending.see(delta("Hello"))
    assert [each.get("delta", each.get("text")) for each in events(ending.end("Stopped."))] == ["Stopped."] * 2
    ending.see(done("Hello"))
    assert ending.end("Stopped.") == b""
    ending = FORMAT.ending()
    ending.see({"type": "speech.audio.delta", "audio": ""})
    assert events(ending.end("x")) == [{"type": "speech.audio.done", "usage": openai_audio._NOTHING}]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"usage": TOKENS}, Usage(input=14, output=5, audio_input=10)),
        ({"usage": {"type": "duration", "seconds": 7}}, Usage(seconds=7.0)),
        (VERBOSE, Usage(seconds=9.0)),
        ({"duration": 8.5}, Usage(seconds=8.5)),
        ({"usage": {"input_tokens": -1, "output_tokens": True, "input_token_details": 3}}, Usage()),
        ({"usage": {"seconds": "7"}}, None),
        ({"duration": -1}, None),
        ({"duration": True}, None),
        ({"usage": "x"}, None),
        ({}, None),
        ([], None),
    ],
)
def test_usage(body, expected):
    assert FORMAT.usage(body) == expected


def test_the_sdk_reads_the_examples():
    TranscriptionVerbose.model_validate(VERBOSE)
    TranscriptionDiarized.model_validate(DIARIZED)
