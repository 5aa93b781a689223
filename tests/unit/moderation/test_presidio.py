"""Presidio's analyzer: what is sent, and the places it gives."""

import pytest

from extproc.moderation.api import Finding, Mark, Text
from extproc.policy.api import Scope
from tests.unit.moderation.support import ASSISTANT, USER, describe, failure, fake, judged, says

__all__ = ["fake"]


def entity(kind="PERSON", start=0, end=5, score=0.85, **more):
    explanation = {"recognizer": "SpacyRecognizer", "pattern": None, "score": score}
    return {"entity_type": kind, "start": start, "end": end, "score": score, "analysis_explanation": explanation} | more


def test_each_text_is_analysed_and_places_are_kept(fake):
    service = fake(
        says([entity("EMAIL_ADDRESS", 6, 26, 1.0), entity("PERSON", 6, 10, 0.4), entity("PERSON", 0, 5, 0.85)]),
        says([]),
    )
    first, second = judged(describe("presidio", service.url), (USER, ASSISTANT)).findings
    assert first == Finding(
        True,
        {"email_address": 1.0, "person": 0.85},
        ("email_address", "person"),
        (Mark(6, 26, "email_address", 1.0), Mark(6, 10, "person", 0.4), Mark(0, 5, "person", 0.85)),
    )
    assert second == Finding()
    assert {each.target for each in service.requests} == {"/analyze"}
    assert sorted((each["text"], each["language"]) for each in service.seen) == sorted(
        [(USER.text, "en"), (ASSISTANT.text, "en")]
    )
    assert all(each.keys() == {"text", "language"} for each in service.seen)


def test_thresholds_say_what_to_look_for(fake):
    service = fake(says([]))
    thresholds = (("email_address", 0.8), ("person", 0.3))
    judged(describe("presidio", f"{service.url}/analyze", thresholds=thresholds, language="de"))
    assert service.seen == [
        {"text": USER.text, "language": "de", "entities": ["EMAIL_ADDRESS", "PERSON"], "score_threshold": 0.3}
    ]


def test_places_count_code_points(fake):
    text = "\U0001f600\u00e9 Ann"
    service = fake(says([entity(start=3, end=6)]))
    (finding,) = judged(describe("presidio", service.url), (Text.of(Scope.USER, text),)).findings
    assert text[finding.marks[0].start : finding.marks[0].end] == "Ann"


@pytest.mark.parametrize(
    "wrong",
    [
        [entity(end=len(USER.text) + 1)],
        [entity(start=5, end=5)],
        [entity(start=-1)],
        [entity(start=0.0)],
        [entity(start="0")],
        [entity(score=1.1)],
        [entity(score=None)],
        [{"entity_type": "PERSON"}],
        {"error": "No matching recognizers were found"},
        {},
        None,
    ],
)
def test_an_answer_of_another_shape_is_an_error(fake, wrong):
    assert not failure(describe("presidio", fake(says(wrong)).url)).outage
