"""Models that may be asked for."""

import pytest

from tests.unit.policy.kinds.support import refused

ALLOW = {"kind": "models", "allow": ["gpt-4.1*", "o3"]}
DENY = {"kind": "models", "deny": ["gpt-4o", "claude-*"]}


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-4.1-mini", "o3"])
def test_what_is_allowed(name):
    assert refused(ALLOW, {"model": name}) is None


@pytest.mark.parametrize(
    "name", ["gpt-4", "O3", "o3-2025-04-16", "GPT-4.1", "o3 ", "openai/o3", "xgpt-4.1", "gpt-401", "o3\n"]
)
def test_an_allowed_name_is_exactly_it(name):
    assert refused(ALLOW, {"model": name}) == "not_allowed"


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "GPT-4O", "gpt-4o-2024-08-06", "gpt-4o-20240806", "gpt-4o@20240806", "gpt-4o-latest", "gpt-4o-0806",
     "gpt-4o-08-2024", "gpt-4o-preview", "gpt-4o-preview-2024-08-06", "Gpt-4o-Latest", " gpt-4o", "claude-x", "CLAUDE-"],
)  # fmt: skip
def test_a_denied_name_in_another_case_or_version_is_denied(name):
    assert refused(DENY, {"model": name}) == "denied"


@pytest.mark.parametrize("name", ["gpt-4o-mini", "gpt-4", "gpt-4omni", "my-claude-x"])
def test_other_names_are_not(name):
    assert refused(DENY, {"model": name}) is None


def test_deny_wins():
    assert refused({"kind": "models", "allow": "*", "deny": "o3"}, {"model": "o3"}) == "denied"


@pytest.mark.parametrize(
    "more",
    [
        {"models": ["gpt-4.1", "gpt-4o"]},
        {"fallbacks": [{"model": "gpt-4o"}]},
        {"extra_body": {"model": "gpt-4o"}},
        {"Model": "gpt-4o"},
        {"tools": [{"type": "image_generation", "model": "gpt-4o"}]},
    ],
)
def test_every_model_a_request_names_counts(more):
    assert refused(DENY, {"model": "gpt-4.1", **more}) == "denied"
    assert refused(ALLOW, {"model": "gpt-4.1", **more}) == "not_allowed"


def test_the_model_of_the_path_counts_beside_that_of_the_body():
    assert refused(DENY, {"model": "gpt-4.1"}, model="gpt-4o") == "denied"
    assert refused(DENY, {"model": "gpt-4o"}, model="gpt-4.1") == "denied"
    assert refused(DENY, {}, model="") is None


def test_models_in_the_conversation_do_not():
    assert refused(DENY, {"model": "o3", "messages": [{"model": "gpt-4o"}], "metadata": {"model": "gpt-4o"}}) is None


@pytest.mark.parametrize("odd", [5, ["gpt-4.1", 5], {"id": "gpt-4o"}, True, [["gpt-4o"]]])
def test_what_cannot_be_read_is_refused(odd):
    assert refused(DENY, {"model": odd}, model="x") == "unreadable"
