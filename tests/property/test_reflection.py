"""What a prompt marks stays out of an answer however the answer is cut, exactly as of the whole text."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.formats.openai_chat import OpenAIChat
from extproc.policy.api import Phase, Scope, Tally
from extproc.policy.chain import Chain
from extproc.policy.kinds.base import Context
from extproc.policy.kinds.reflection import Reflection
from extproc.policy.request import Request
from extproc.policy.requests import judge
from extproc.policy.scanner import apply

SPANS = [
    "the launch code is 0451",
    "Blue door, second floor.",
    "a long first sentence about the vault in the cellar. And more.",
]
BODY = {"messages": [{"role": "system", "content": " and ".join(f"||{span}||" for span in SPANS)}]}
PIECES = st.sampled_from(
    [*SPANS, *(span.upper() for span in SPANS), SPANS[0][:-1], SPANS[2][:53], " ", "x", "the ", "Blue\n"]
)


def chain():
    policy = Reflection(kind="reflection", action="redact").compile("p", Context())
    decision = judge([policy], Request("chat", "m", BODY, texts=OpenAIChat().request_spans), Tally())
    return Chain(decision.answer)


CHAIN = chain()


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=8).map("".join), st.lists(st.integers(0, 200), max_size=12))
def test_any_cut_gives_what_the_whole_text_gives(text, cuts):
    whole = CHAIN.inspect(Phase.RESPONSE, [(Scope.ASSISTANT, text, False)], Tally()).texts.get(0, text)
    track = CHAIN.open(Phase.RESPONSE, Scope.ASSISTANT, Tally())
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    ops = [op for start, end in pairwise(places) for op in track.feed(text[start:end])]
    assert apply(ops + track.close(), text) == whole
    assert not any(span.casefold() in f" {whole} ".casefold() for span in (f" {SPANS[0]} ", f" {SPANS[1]} "))
