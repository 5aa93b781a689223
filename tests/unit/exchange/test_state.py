import itertools

import pytest

from extproc import events
from extproc.errors import ProtocolError
from extproc.exchange import state
from extproc.exchange.guarding import GuardExchange
from extproc.exchange.router import RouterExchange
from extproc.exchange.state import State

TYPES = [events.RequestHeaders, events.RequestBody, events.RequestTrailers, events.ResponseHeaders, events.ResponseBody,
         events.ResponseTrailers]  # fmt: skip
SAMPLES = {
    events.RequestHeaders: events.RequestHeaders({}, False),
    events.RequestBody: events.RequestBody(b"", True),
    events.RequestTrailers: events.RequestTrailers(()),
    events.ResponseHeaders: events.ResponseHeaders({}, False),
    events.ResponseBody: events.ResponseBody(b"", True),
    events.ResponseTrailers: events.ResponseTrailers(()),
}


@pytest.mark.parametrize(("where", "kind"), list(itertools.product(State, TYPES)))
def test_every_pair_is_a_known_method_or_a_protocol_error(where, kind):
    found = state.known(where, SAMPLES[kind])
    if found is None:
        with pytest.raises(ProtocolError, match=kind.__name__):
            state.step(where, SAMPLES[kind])
    else:
        assert state.step(where, SAMPLES[kind]) == found
        assert hasattr(GuardExchange if where is State.PASSED else RouterExchange, f"_{found}")


def test_once_done_everything_is_ignored():
    assert {state.step(State.DONE, each) for each in SAMPLES.values()} == {"ignore"}


def test_no_answer_can_be_taken_before_its_headers():
    for where in (State.START, State.BODY, State.SENT):
        for kind in (events.ResponseBody, events.ResponseTrailers):
            with pytest.raises(ProtocolError):
                state.step(where, SAMPLES[kind])
