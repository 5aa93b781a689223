"""Azure AI Content Safety: what is sent, and severities as scores."""

import pytest

from extproc.moderation.api import Finding
from tests.unit.moderation.support import ASSISTANT, KEY, USER, describe, failure, fake, judged, says

__all__ = ["fake"]


def analysis(**severities):
    found = {"Hate": 0, "SelfHarm": 0, "Sexual": 0, "Violence": 0} | severities
    return {
        "blocklistsMatch": [],
        "categoriesAnalysis": [{"category": name, "severity": severity} for name, severity in found.items()],
    }


def test_severities_become_scores_and_medium_is_flagged(fake):
    service = fake(says(analysis(Violence=7, Hate=3)))
    assert judged(describe("azure", service.url)).findings == (
        Finding(True, {"hate": 3 / 7, "self-harm": 0.0, "sexual": 0.0, "violence": 1.0}, ("violence",)),
    )
    (request,) = service.requests
    assert request.target == "/contentsafety/text:analyze?api-version=2024-09-01"
    assert request.header("ocp-apim-subscription-key") == KEY
    assert request.header("authorization") is None
    assert request.json() == {
        "text": USER.text,
        "categories": ["Hate", "SelfHarm", "Sexual", "Violence"],
        "outputType": "EightSeverityLevels",
    }
    service.behaviours = [says(analysis(Sexual=3))]
    assert not judged(describe("azure", service.url)).flagged
    service.behaviours = [says(analysis(Sexual=4))]
    assert judged(describe("azure", service.url)).findings[0].labels == ("sexual",)


def test_only_categories_with_thresholds_are_asked_for_and_each_text_alone(fake):
    service = fake(says({"categoriesAnalysis": [{"category": "SelfHarm", "severity": 2}]}))
    thresholds = (("self-harm", 0.25),)
    judgement = judged(describe("azure", service.url, thresholds=thresholds), (USER, ASSISTANT))
    assert [each.scores for each in judgement.findings] == [{"self-harm": 2 / 7}] * 2
    assert sorted(each["text"] for each in service.seen) == sorted([USER.text, ASSISTANT.text])
    assert [each["categories"] for each in service.seen] == [["SelfHarm"]] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        analysis(Hate=8),
        analysis(Hate=-1),
        analysis(Hate=1.5),
        analysis(Hate="2"),
        analysis(Hate=None),
        analysis(Other=0),
        {"categoriesAnalysis": analysis()["categoriesAnalysis"][:3]},
        {"categoriesAnalysis": analysis()["categoriesAnalysis"] * 2},
        {"error": {"code": "InvalidRequestBody"}},
        [],
    ],
)
def test_an_answer_of_another_shape_is_an_error(fake, wrong):
    assert not failure(describe("azure", fake(says(wrong)).url)).outage
