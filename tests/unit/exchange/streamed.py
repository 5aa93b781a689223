"""Streams of chat events and the policies that are tried on them."""

from extproc.policy.api import Action
from tests.property.streams import DONE, Run, chunk, policy, regex, sse, words

MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
STOP = policy("stop", words("forbidden"), action=Action.BLOCK)


def chat(*deltas, finish="stop", **more):
    return sse(*[chunk(delta, **more) for delta in deltas], chunk({}, finish=finish), DONE)


def call(arguments, index=0, **function):
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments, **function}}]}


def every_cut(raw):
    yield [raw]
    yield [raw[at : at + 1] for at in range(len(raw))]
    for at in range(1, len(raw)):
        yield [raw[:at], raw[at:]]


def same(policies, raw, cuts=every_cut):
    """The stream's run; its output is the same for every cut."""
    runs = [Run(policies, pieces) for pieces in cuts(raw)]
    assert {run.out for run in runs} == {runs[0].out}
    assert {run.blocked for run in runs} == {runs[0].blocked}
    assert {run.refused.code if run.refused else None for run in runs} == {
        runs[0].refused.code if runs[0].refused else None
    }
    return runs[0]
