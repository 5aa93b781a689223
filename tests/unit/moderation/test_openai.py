"""OpenAI's moderation endpoint: what is sent, what its answers mean."""

import asyncio

import pytest
import uvloop

from extproc.moderation.api import Finding, Text
from extproc.policy.api import Scope
from tests.unit.moderation.support import ASSISTANT, KEY, USER, describe, failure, fake, judged, says

__all__ = ["fake"]


def result(flagged=False, violence=0.01, **more):
    return {
        "flagged": flagged,
        "categories": {"violence": flagged, "self-harm/intent": False, "illicit": None},
        "category_scores": {"violence": violence, "self-harm/intent": 0.002, "illicit": None},
        "category_applied_input_types": {"violence": ["text"]},
    } | more


def answer(*results):
    return says({"id": "modr-1", "model": "omni-moderation-latest", "results": list(results)})


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_texts_are_judged_in_one_call(fake, loop):
    service = fake(answer(result(), result(True, 0.93)))
    judgement = judged(describe("openai", f"{service.url}/v1"), (USER, ASSISTANT), loop=loop)
    assert judgement.findings == (
        Finding(False, {"violence": 0.01, "self-harm/intent": 0.002}),
        Finding(True, {"violence": 0.93, "self-harm/intent": 0.002}, ("violence",)),
    )
    assert judgement.flagged
    (request,) = service.requests
    assert (request.method, request.target) == ("POST", "/v1/moderations")
    assert request.json() == {"model": "omni-moderation-latest", "input": [USER.text, ASSISTANT.text]}
    assert request.header("authorization") == f"Bearer {KEY}"
    assert request.header("content-type") == "application/json"
    assert request.header("accept-encoding") == "identity"


def test_another_server_and_model_without_a_key(fake):
    service = fake(answer(result()))
    judged(describe("openai", f"{service.url}/moderations", model="mine", keys=()))
    (request,) = service.requests
    assert request.target == "/moderations"
    assert request.json()["model"] == "mine"
    assert request.header("authorization") is None


def test_what_is_empty_is_not_sent(fake):
    service = fake(answer(result(True)))
    nothing = Text.of(Scope.USER, "")
    assert [each.flagged for each in judged(describe("openai", service.url), (nothing, USER, nothing)).findings] == [
        False,
        True,
        False,
    ]
    assert service.seen == [{"model": "omni-moderation-latest", "input": [USER.text]}]
    assert judged(describe("openai", service.url), (nothing,)).findings == (Finding(),)
    assert judged(describe("openai", service.url), ()).findings == ()
    assert len(service.seen) == 1


def test_a_category_without_a_score_is_no_answer(fake):
    service = fake(answer(result()))
    thresholds = (("violance", 0.5),)
    assert "no score" in str(failure(describe("openai", service.url, thresholds=thresholds)))
    judged(describe("openai", service.url, thresholds=(("violence", 0.5),)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"results": []},
        {"results": [result(), result()]},
        {"results": [result(flagged="no")]},
        {"results": [result(flagged=0)]},
        {"results": [result(category_scores={"violence": "0.1"})]},
        {"results": [result(category_scores={"violence": 1.5})]},
        {"results": [result(category_scores={"violence": -0.1})]},
        {"results": [result(category_scores={"violence": True})]},
        {"results": [result(category_scores=None)]},
        {"results": {"0": result()}},
        {"result": [result()]},
        [],
        "flagged",
        None,
    ],
)
def test_an_answer_of_another_shape_is_an_error(fake, wrong):
    service = fake(says(wrong))
    assert not failure(describe("openai", service.url)).outage
