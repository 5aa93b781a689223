"""Bedrock's guardrails: what is sent and how it is signed, and what assessments mean."""

import datetime

import pytest

from extproc.moderation.api import FLAGGED, Finding, Mark
from extproc.moderation.thresholds import fired
from extproc.providers.sigv4 import sign
from tests.unit.moderation.support import ANSWER, ASSISTANT, KEY, SECRET, USER, describe, failure, fake, judged, says

__all__ = ["fake"]

USAGE = {"topicPolicyUnits": 1, "contentPolicyUnits": 1, "wordPolicyUnits": 0, "sensitiveInformationPolicyUnits": 1}


def applied(action="GUARDRAIL_INTERVENED", **policies):
    return {
        "usage": USAGE,
        "action": action,
        "actionReason": "Guardrail blocked.",
        "outputs": [{"text": "Sorry."}] if action != "NONE" else [],
        "assessments": [policies | {"invocationMetrics": {"guardrailProcessingLatency": 100}}],
    }


def pii(*items):
    return {"piiEntities": list(items), "regexes": []}


def email(match=SECRET, action="ANONYMIZED", **more):
    return {"match": match, "type": "EMAIL", "action": action, "detected": True} | more


def bedrock(url, **more):
    return describe("bedrock", url, **({"model": "abc123/DRAFT"} | more))


def test_texts_go_in_one_call_with_an_api_key(fake):
    service = fake(says(applied("NONE")))
    judgement = judged(bedrock(service.url), (USER, ASSISTANT))
    assert judgement.findings == (Finding(), Finding())
    (request,) = service.requests
    assert request.target == "/guardrail/abc123/version/DRAFT/apply"
    assert request.header("authorization") == f"Bearer {KEY}"
    assert request.header("x-amz-date") is None
    assert request.json() == {
        "source": "INPUT",
        "content": [{"text": {"text": USER.text}}, {"text": {"text": ASSISTANT.text}}],
    }
    judged(bedrock(service.url), (ASSISTANT,), ANSWER)
    assert service.seen[-1]["source"] == "OUTPUT"


def test_credentials_sign_what_is_really_sent(fake, monkeypatch):
    monkeypatch.setattr("extproc.moderation.bedrock.region", lambda url: "eu-west-1")  # loopback names none
    service = fake(says(applied("NONE")))
    keys = ("AKID", KEY, "token")
    arn = "arn:aws:bedrock:eu-west-1:123456789012:guardrail/abc"
    judged(bedrock(service.url, keys=keys, model=f"{arn}/7"))
    (request,) = service.requests
    assert (
        request.target == "/guardrail/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aguardrail%2Fabc/version/7/apply"
    )
    now = datetime.datetime.strptime(request.header("x-amz-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    assert abs(datetime.datetime.now(datetime.UTC) - now) < datetime.timedelta(minutes=2)
    wanted = sign(service.url + request.target, request.body, keys, "eu-west-1", "bedrock", now)
    assert {name: request.header(name) for name in wanted} == wanted
    assert request.header("host") == f"127.0.0.1:{service.port}"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in wanted["authorization"]


def test_every_policy_of_a_guardrail_is_read(fake):
    service = fake(
        says(
            applied(
                topicPolicy={"topics": [{"name": "Legal Advice", "type": "DENY", "action": "BLOCKED"}]},
                contentPolicy={
                    "filters": [
                        {"type": "HATE", "confidence": "MEDIUM", "filterStrength": "LOW", "action": "BLOCKED"},
                        {"type": "INSULTS", "confidence": "LOW", "action": "NONE", "detected": True},
                        {"type": "VIOLENCE", "confidence": "HIGH", "action": "NONE", "detected": False},
                    ]
                },
                wordPolicy={
                    "customWords": [{"match": "Hello", "action": "BLOCKED"}],
                    "managedWordLists": [{"match": "doe", "type": "PROFANITY", "action": "BLOCKED"}],
                },
                sensitiveInformationPolicy={
                    "piiEntities": [email()],
                    "regexes": [{"name": "code", "match": "jane", "regex": "j.ne", "action": "ANONYMIZED"}],
                },
            )
        )
    )
    (finding,) = judged(bedrock(service.url)).findings
    assert finding.flagged
    assert finding.scores == {
        "legal_advice": 1.0,
        "hate": 2 / 3,
        "insults": 1 / 3,
        "word": 1.0,
        "profanity": 1.0,
        "email": 1.0,
        "code": 1.0,
    }
    assert finding.labels == ("legal_advice", "hate", "word", "profanity", "email", "code")
    assert set(finding.marks) == {
        Mark(0, 5, "word"),
        Mark(11, 14, "profanity"),
        Mark(6, 6 + len(SECRET), "email"),
        Mark(6, 10, "code"),
    }


def test_where_places_matter_each_text_has_its_own_call(fake):
    service = fake(says(applied("NONE")))
    judged(bedrock(service.url, places=True), (USER, ASSISTANT))
    assert sorted(len(each["content"]) for each in service.seen) == [1, 1]


def test_every_occurrence_is_a_place(fake):
    text = USER._replace(text=f"{SECRET} and {SECRET}, {SECRET}")
    service = fake(says(applied(sensitiveInformationPolicy=pii(email(), email()))))
    (finding,) = judged(bedrock(service.url, places=True), (text,)).findings
    assert [text.text[each.start : each.end] for each in finding.marks] == [SECRET] * 3


def test_what_stands_nowhere_is_the_whole_text(fake):
    """The guardrail found an address that it quotes otherwise than it stands there."""
    service = fake(says(applied(sensitiveInformationPolicy=pii(email(), email(SECRET.upper())))))
    judgement = judged(bedrock(service.url, places=True))
    found = fired(judgement, (USER,), {})
    assert found.labels == ("email",)
    assert found.marks == ((Mark(0, len(USER.text), "email"),),)


def test_an_intervention_without_a_reason_is_flagged_all_the_same(fake):
    service = fake(says(applied()))
    assert judged(bedrock(service.url)).findings == (Finding(True, {}, (FLAGGED,)),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "NONE"},
        {"assessments": []},
        {"action": "BLOCKED", "assessments": []},
        {"action": "NONE", "assessments": None},
        applied(contentPolicy={"filters": [{"type": "HATE", "confidence": "EXTREME", "action": "BLOCKED"}]}),
        applied(contentPolicy={"filters": {"type": "HATE"}}),
        applied(sensitiveInformationPolicy=pii(*[email()] * 1001)),
        {"message": "The security token included in the request is invalid."},
        [],
    ],
)
def test_an_answer_of_another_shape_is_an_error(fake, wrong):
    assert not failure(bedrock(fake(says(wrong)).url)).outage


def test_more_places_than_anybody_needs_are_an_error(fake):
    text = USER._replace(text="a" * 10_000)
    service = fake(says(applied(sensitiveInformationPolicy=pii(email("a"), email("aa")))))
    assert "too much" in str(failure(bedrock(service.url), (text,)))
