"""Asks a policy about a request."""

import pydantic

from extproc.formats.openai_chat import OpenAIChat
from extproc.framing.jsontext import dump, parse
from extproc.policy.api import Outcome, Tally
from extproc.policy.kinds import AnyPolicy
from extproc.policy.kinds.base import Context
from extproc.policy.request import Request
from extproc.policy.requests import judge

ADAPTER = pydantic.TypeAdapter(AnyPolicy)


def compiled(config):
    return ADAPTER.validate_python(config).compile("p", Context())


def ask(config, body, **about):
    """The decision about a body; its text after the edits must be its value after them."""
    tally = Tally()
    values = {"operation": "chat", "model": str(body.get("model", "")), "texts": OpenAIChat().request_spans, **about}
    decision = judge([compiled(config)], Request(body=body, **values), tally)
    raw = dump(body)
    assert decision.apply(raw) == raw if decision.body is body else parse(decision.apply(raw)) == decision.body
    assert "failed" not in labels(tally)
    return decision, labels(tally)


def labels(tally):
    return [label for _, label, _ in tally.counts]


def refused(config, body, **about):
    """The label under which it is refused; None if it goes on."""
    decision, found = ask(config, body, **about)
    if decision.outcome is not Outcome.BLOCK:
        return None
    assert decision.why
    return found[0]


def said(*contents, **more):
    """A chat request with these user messages."""
    return {"model": "m", "messages": [{"role": "user", "content": each} for each in contents], **more}
