"""Rate limits under the names of the client's API."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.exchange.limits import limits

NOW = 1_763_740_800.0  # 2025-11-21T16:00:00Z


def test_names_of_both_apis():
    told = {"anthropic-ratelimit-tokens-remaining": "9", "anthropic-ratelimit-input-tokens-limit": "50", "x-other": "1"}
    found = {"x-ratelimit-remaining-tokens": "9", "x-ratelimit-limit-input-tokens": "50"}
    assert dict(limits(told, "openai", NOW)) == found
    assert limits(told, "anthropic", NOW) == ()
    told = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}
    found = {"anthropic-ratelimit-requests-limit": "60", "anthropic-ratelimit-requests-remaining": "59"}
    assert dict(limits(told, "anthropic", NOW)) == found
    assert limits(told, "google", NOW) == ()


def test_what_the_provider_says_itself_stays():
    both = {"x-ratelimit-limit-tokens": "1", "anthropic-ratelimit-tokens-limit": "2"}
    assert limits(both, "openai", NOW) == limits(both, "anthropic", NOW) == ()


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("1s", "2025-11-21T16:00:01Z"),
        ("6m0s", "2025-11-21T16:06:00Z"),
        ("59.9s", "2025-11-21T16:00:59Z"),
        ("120ms", "2025-11-21T16:00:00Z"),
        ("1h2m3s", "2025-11-21T17:02:03Z"),
        ("1d", "2025-11-22T16:00:00Z"),
        ("999999d", "2026-11-22T16:00:00Z"),
    ],
)
def test_a_time_from_now_is_told_as_a_time(told, at):
    assert limits({"x-ratelimit-reset-tokens": told}, "anthropic", NOW) == (("anthropic-ratelimit-tokens-reset", at),)


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        ("2025-11-21T16:00:01Z", "1s"),
        ("2025-11-21T16:06:00Z", "6m0s"),
        ("2025-11-21T17:06:02+01:00", "6m2s"),
        ("2025-11-21T15:00:00Z", "0s"),
    ],
)
def test_a_time_is_told_as_a_time_from_now(told, wait):
    assert limits({"anthropic-ratelimit-requests-reset": told}, "openai", NOW) == (
        ("x-ratelimit-reset-requests", wait),
    )


@pytest.mark.parametrize("told", ["", "soon", "1", "-1s", "1s1h", "2025-11-21", "2025-11-21T16:00:00"])
@pytest.mark.parametrize(
    ("name", "family"), [("x-ratelimit-reset-tokens", "anthropic"), ("anthropic-ratelimit-tokens-reset", "openai")]
)
def test_what_cannot_be_read_is_left_out(told, name, family):
    assert limits({name: told}, family, NOW) == ()


@given(st.text(max_size=20), st.sampled_from(["openai", "anthropic"]))
def test_any_text_is_read_or_left_out(told, family):
    names = ("x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset")
    found = limits({names[family == "openai"]: told}, family, NOW)
    assert len(found) <= 1
