"""LiteLLM's generic guardrail contract: what is sent, what the three actions mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.moderation.api import About, Finding, Mark, Text
from extproc.moderation.chunks import Limits
from extproc.moderation.webhook import Webhook, _changed
from extproc.policy.api import Scope
from tests.unit.moderation.support import (
    ANSWER,
    ASSISTANT,
    KEY,
    QUESTION,
    SECRET,
    USER,
    describe,
    failure,
    fake,
    judged,
    says,
)

__all__ = ["fake"]


def test_a_request_is_described_as_litellm_does(fake):
    service = fake(says({"action": "NONE"}))
    texts = (Text.of(Scope.SYSTEM, "Be kind"), USER, Text.of(Scope.TOOL_OUTPUT, "42"))
    assert judged(describe("webhook", service.url), texts).findings == (Finding(),) * 3
    (request,) = service.requests
    assert request.target == "/beta/litellm_basic_guardrail_api"
    assert request.header("x-api-key") == KEY
    assert request.header("authorization") is None
    assert request.json() == {
        "texts": ["Be kind", USER.text, "42"],
        "input_type": "request",
        "request_data": {},
        "additional_provider_specific_params": {},
        "litellm_call_id": "req-1",
        "structured_messages": [
            {"role": "system", "content": "Be kind"},
            {"role": "user", "content": USER.text},
            {"role": "tool", "content": "42"},
        ],
    }


def test_an_answer_is_described_as_one(fake):
    service = fake(says({"action": "NONE", "blocked_reason": None, "texts": None, "images": None}))
    judged(describe("webhook", f"{service.url}/beta/litellm_basic_guardrail_api", keys=()), (ASSISTANT,), ANSWER)
    judged(describe("webhook", service.url), (ASSISTANT,), About())
    first, second = service.requests
    assert first.target == second.target == "/beta/litellm_basic_guardrail_api"
    assert first.header("x-api-key") is None
    assert first.json()["input_type"] == "response"
    assert "structured_messages" not in first.json()
    assert "litellm_call_id" not in second.json()


def test_a_block_is_found_in_every_text(fake):
    service = fake(says({"action": "BLOCKED", "blocked_reason": f"it said {SECRET}"}))
    finding = Finding(True, {"blocked": 1.0}, ("blocked",))
    assert judged(describe("webhook", service.url), (USER, ASSISTANT)).findings == (finding, finding)


def test_changed_texts_become_marks(fake):
    service = fake(says({"action": "GUARDRAIL_INTERVENED", "texts": ["Hello [EMAIL]", ASSISTANT.text]}))
    first, second = judged(describe("webhook", service.url), (USER, ASSISTANT)).findings
    assert first.marks == (Mark(6, len(USER.text), "intervened", 1.0, "[EMAIL]"),)
    assert (first.flagged, first.scores, first.labels) == (True, {"intervened": 1.0}, ("intervened",))
    assert second == Finding()


@given(st.text("abc", min_size=1), st.text("abc"))
def test_the_mark_turns_what_was_sent_into_what_came_back(before, after):
    finding = _changed(before, after)
    if before == after:
        assert finding == Finding()
        return
    (mark,) = finding.marks
    assert 0 <= mark.start < mark.end <= len(before)
    assert before[: mark.start] + mark.replacement + before[mark.end :] == after


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "GUARDRAIL_INTERVENED"},
        {"action": "GUARDRAIL_INTERVENED", "texts": []},
        {"action": "GUARDRAIL_INTERVENED", "texts": ["a", "b"]},
        {"action": "GUARDRAIL_INTERVENED", "texts": [None]},
        {"action": "GUARDRAIL_INTERVENED", "texts": "Hello"},
        {"action": "none"},
        {"action": None},
        {"texts": ["a"]},
        {},
        [],
    ],
)
def test_an_answer_of_another_shape_is_an_error(fake, wrong):
    assert not failure(describe("webhook", fake(says(wrong)).url)).outage


def test_a_text_that_would_have_to_be_cut_is_an_error(fake, monkeypatch):
    service = fake(says({"action": "NONE"}))
    monkeypatch.setattr(Webhook, "limits", Limits(characters=5, total=20, overlap=1, cut=False))
    assert "longer" in str(failure(describe("webhook", service.url)))
    assert service.requests == []
    assert judged(describe("webhook", service.url), (USER._replace(text="12345"),), QUESTION).findings == (Finding(),)
