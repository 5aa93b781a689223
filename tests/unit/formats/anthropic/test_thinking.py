"""Thinking and sampling, as each of Claude's models takes them."""

import pytest

from extproc.chat.parts import Reasoning, ToolCall, ToolResult
from extproc.chat.request import Settings, Thinking, ToolChoice
from extproc.formats.anthropic.claude import Claude, claude
from tests.unit.formats.anthropic.asked import MIDDLE, NEW, OLD, TOOL, assistant, encoded, user

# thinking


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("claude-3-5-sonnet-20241022", Claude(False, True, True, False, False)),
        ("claude-3-7-sonnet-latest", Claude(False, True, True, False, True)),
        ("claude-sonnet-4-20250514", Claude(False, True, True, False, True)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", Claude(False, True, True, False, True)),
        ("claude-haiku-4-5@20251001", Claude(False, True, True, False, True)),
        ("claude-opus-4-6", Claude(True, True, True, False, True)),
        ("anthropic/claude-4.7-opus", Claude(True, False, False, True, False)),
        ("claude-opus-4-8", Claude(True, False, False, True, False)),
        ("claude-sonnet-5", Claude(True, False, False, True, True)),
        ("claude-fable-5", Claude(True, False, False, True, False)),
        ("best", Claude(True, False, True, True, True)),
    ],
)
def test_what_a_model_takes_is_told_from_its_name(model, wanted):
    assert claude(model) == wanted


@pytest.mark.parametrize(
    ("model", "thinking", "wanted", "effort"),
    [
        (OLD, Thinking("high"), {"type": "enabled", "budget_tokens": 16384}, None),
        (OLD, Thinking(budget=2000), {"type": "enabled", "budget_tokens": 2000}, None),
        (OLD, Thinking(budget=10), {"type": "enabled", "budget_tokens": 1024}, None),
        (
            OLD,
            Thinking(budget=-1, show=True),
            {"type": "enabled", "budget_tokens": 16384, "display": "summarized"},
            None,
        ),
        (OLD, Thinking("none"), {"type": "disabled"}, None),
        (MIDDLE, Thinking("minimal"), {"type": "adaptive"}, "low"),
        (MIDDLE, Thinking(budget=2000), {"type": "enabled", "budget_tokens": 2000}, None),
        (MIDDLE, Thinking(budget=-1), {"type": "adaptive"}, None),
        (NEW, Thinking("xhigh", show=False), {"type": "adaptive", "display": "omitted"}, "xhigh"),
        (NEW, Thinking("none"), None, None),
        (NEW, Thinking(budget=0), None, None),
        ("claude-sonnet-5", Thinking(budget=0), {"type": "disabled"}, None),
    ],
)
def test_thinking_as_the_model_takes_it(model, thinking, wanted, effort):
    body, losses = encoded(model=model, thinking=thinking)
    assert body.get("thinking") == wanted
    assert body.get("output_config", {}).get("effort") == effort
    assert losses == []
    if wanted and "budget_tokens" in wanted:
        assert body["max_tokens"] > wanted["budget_tokens"]


@pytest.mark.parametrize(
    ("model", "thinking", "reason", "effort"),
    [
        (NEW, Thinking(budget=9000), "a budget is told as an effort", "medium"),
        (MIDDLE, Thinking("xhigh"), "clamped", "high"),
        (MIDDLE, Thinking("huge"), "no such value", None),
        (MIDDLE, Thinking(show=True), "nothing is thought that could be shown", None),
    ],
)
def test_thinking_that_does_not_fit_is_told(model, thinking, reason, effort):
    body, losses = encoded(model=model, thinking=thinking)
    assert losses == [("thinking", reason)]
    assert body.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("most", "budget", "reason"),
    [(10000, 5000, "clamped"), (1500, 1499, "clamped"), (1024, None, "no tokens are left to think")],
)
def test_thinking_leaves_tokens_for_the_answer(most, budget, reason):
    body, losses = encoded(model=OLD, thinking=Thinking("max"), settings=Settings(max_output=most))
    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert body["max_tokens"] == most
    assert losses == [("thinking", reason)]


def test_a_budget_does_not_go_with_a_forced_tool_or_a_turn_without_thoughts():
    body, losses = encoded(model=OLD, thinking=Thinking("low"), tools=[TOOL], tool_choice=ToolChoice("required"))
    assert "thinking" not in body
    assert losses == [("thinking", "not together with a tool that must be called")]
    said = user("a"), assistant(ToolCall("1", "look", "{}")), user(ToolResult("1", []))
    body, losses = encoded(*said, model=OLD, thinking=Thinking("low"))
    assert "thinking" not in body
    assert losses == [("thinking", "the turn it goes on with has no thoughts")]
    said[1].parts.insert(0, Reasoning("t", "sig", maker="claude"))
    assert "thinking" in encoded(*said, model=OLD, thinking=Thinking("low"))[0]
    body, losses = encoded(model=NEW, thinking=Thinking("low"), tools=[TOOL], tool_choice=ToolChoice("required"))
    assert body["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize(
    ("model", "settings", "thinking", "kept", "lost"),
    [
        (OLD, {"temperature": 0.5, "top_k": 3}, None, {"temperature": 0.5, "top_k": 3}, {}),
        (OLD, {"temperature": 1.7}, None, {"temperature": 1.0}, {"temperature": "clamped"}),
        (
            OLD,
            {"temperature": 0.5, "top_p": 0.9},
            None,
            {"temperature": 0.5},
            {"top_p": "not together with temperature"},
        ),
        (OLD, {"top_p": 0.9}, None, {"top_p": 0.9}, {}),
        (OLD, {"temperature": 0.5}, "low", {}, {"temperature": "not together with thinking"}),
        (OLD, {"temperature": 1, "top_k": 3}, "low", {"temperature": 1}, {"top_k": "not together with thinking"}),
        (OLD, {"top_p": 0.96}, "low", {"top_p": 0.96}, {}),
        (NEW, {"temperature": 0.5}, None, {}, {"temperature": "the model does not take it"}),
    ],
)
def test_sampling_as_the_model_takes_it(model, settings, thinking, kept, lost):
    asked = Thinking(thinking) if thinking else None
    body, losses = encoded(model=model, settings=Settings(**settings), thinking=asked)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == kept
    assert dict(losses) == {f"settings.{name}": reason for name, reason in lost.items()}
