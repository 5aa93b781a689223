"""The order of one exchange, as a table, and what is known about it so far.

Envoy's order is looser than its documentation (each seen on 1.40): response headers may be the first message of all, or
come before the request body was answered (a local reply); trailers may take the place of the last body message; bodies
may be empty; a body may follow after its own end; and any exchange may stop anywhere. What the table does not list is a
protocol error, and a protocol error fails closed.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from extproc import events
from extproc.errors import ProtocolError


class State(IntEnum):  # the hash of a plain Enum is Python code, and every event looks into the table
    """Where an exchange stands."""

    START = auto()  # nothing seen
    BODY = auto()  # request headers answered, the body is awaited
    JUDGED = auto()  # the body was read; a service has to judge it before it goes on
    SENT = auto()  # the request is decided and on its way
    ANSWER = auto()  # response headers seen, the answer is coming
    PASSED = auto()  # an answer of Envoy's own is coming, and goes on as it is
    DONE = auto()  # everything that matters has been answered; whatever follows is ignored


_TABLE: Final[dict[tuple[State, type[events.Event]], str]] = {
    (State.START, events.RequestHeaders): "request_headers",
    (State.START, events.ResponseHeaders): "response_headers",
    (State.BODY, events.RequestBody): "request_body",
    (State.BODY, events.RequestTrailers): "request_without_body",
    (State.BODY, events.ResponseHeaders): "response_headers",
    (State.JUDGED, events.ResponseHeaders): "response_headers",
    (State.SENT, events.RequestTrailers): "request_trailers",
    (State.SENT, events.ResponseHeaders): "response_headers",
    (State.SENT, events.RequestBody): "ignore",
    (State.ANSWER, events.ResponseBody): "response_body",
    (State.ANSWER, events.ResponseTrailers): "response_trailers",
    (State.ANSWER, events.RequestTrailers): "request_trailers",
    (State.ANSWER, events.RequestBody): "ignore",
    (State.PASSED, events.ResponseBody): "passed_body",
    (State.PASSED, events.ResponseTrailers): "passed_trailers",
    (State.PASSED, events.RequestTrailers): "request_trailers",
    (State.PASSED, events.RequestBody): "ignore",
}


def step(state: State, event: events.Event) -> str:
    """The name of the method that takes this event in this state.

    Raises:
        ProtocolError: the table knows no such step.
    """
    name = known(state, event)
    if name is None:
        raise ProtocolError(f"{type(event).__name__} in state {state.name}")
    return name


def known(state: State, event: events.Event) -> str | None:
    """The same, None where the table knows no such step."""
    return "ignore" if state is State.DONE else _TABLE.get((state, type(event)))
