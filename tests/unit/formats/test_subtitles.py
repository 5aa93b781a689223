"""Transcripts that are no JSON: guarded like those that are, also over the gap between two subtitles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import DecodeError
from extproc.formats.openai_audio import OpenAIAudio
from extproc.formats.subtitles import closed, opened
from extproc.policy.api import Outcome
from tests.unit.formats.media import MAIL, PHONE, STOP, whole

SRT = """1
00:00:00,000 --> 00:00:02,500
Write to jane@example.com
or call 555 123

2
00:00:02,500 --> 00:00:04,000
4567 now. 42
"""
VTT = """WEBVTT

00:00.000 --> 00:02.500 align:start
Call 555 123

note
00:02.500 --> 00:04.000
4567 now.
"""


def guarded(body, *policies):
    decision, left = whole(OpenAIAudio(), opened(body.encode()), *policies)
    assert decision.outcome is not Outcome.BLOCK
    return closed(left).decode()


@given(st.text(st.characters(codec="utf-8")) | st.sampled_from([SRT, VTT]))
def test_what_no_policy_changes_comes_out_as_it_was(text):
    assert closed(opened(text.encode())) == text.encode()


def test_a_text_is_redacted():
    assert guarded("I am jane@example.com.\n", MAIL) == "I am [mail].\n"
    assert opened(b"plain 00:00") == {"text": "plain 00:00"}


def test_what_one_subtitle_says_is_redacted_in_its_place():
    assert guarded(SRT, MAIL) == SRT.replace("jane@example.com", "[mail]")


def test_what_two_subtitles_say_together_makes_them_one():
    assert opened(SRT.encode())["cues"] == "Write to jane@example.com or call 555 123 4567 now. 42"
    assert guarded(SRT, MAIL, PHONE) == ("1\n00:00:00,000 --> 00:00:04,000\nWrite to [mail] or call [phone] now. 42\n")
    assert guarded(VTT.replace("note\n", ""), PHONE) == "WEBVTT\n\n1\n00:00.000 --> 00:04.000\nCall [phone] now.\n"


def test_what_is_no_subtitle_is_said_too():
    assert opened(VTT.encode())["cues"] == "Call 555 123 note 4567 now."
    decision, _ = whole(OpenAIAudio(), opened(VTT.replace("note", "forbidden").encode()), STOP)
    assert decision.outcome is Outcome.BLOCK


def test_times_that_are_gone():
    assert closed({"text": "no times", "cues": "what is left"}) == b"what is left\n"
    assert closed({"text": "what is left", "cues": None}) == b"what is left"


def test_what_is_no_text():
    with pytest.raises(DecodeError):
        opened(b"\xff")
