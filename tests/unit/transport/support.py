"""A service whose sessions do as they are told, calls on it over real streams, and how they ended."""

import asyncio
from concurrent.futures import Future

import hpack

from extproc.service import StreamFailed, Turn
from extproc.transport import grpc_wire
from extproc.transport.call import Call
from extproc.transport.grpc_wire import Status, packed, trailers
from extproc.transport.http2 import frames
from tests.unit.transport.http2.support import Server, body_of, data, headers, resets

ROUTER = [(":method", "POST"), (":path", "/p"), ("x-llm-filter", "router")]
LARGE = b"L" * (1 << 18)


class Session:
    """Answers every message with its length; some messages have a meaning of their own."""

    def __init__(self, service):
        self.service = service
        self.answered = False
        self.held = 0
        self.ends = 0
        self.messages = []

    def message(self, message):
        self.messages.append(message)
        if message == b"fail":
            raise StreamFailed("llm-extproc: protocol error")
        if message == b"explode":
            raise KeyError("MARKER")
        self.answered = self.answered or message in (b"last", b"close")
        return Turn([b"%d" % len(message)] if message != b"close" else [], close=message in (b"close", b"early"))

    def incoming(self, by):
        return True

    def tick(self):
        return Turn([b"tick"])

    def end(self):
        self.ends += 1
        if self.service.end_explodes:
            raise OSError("MARKER")


class Service:
    def __init__(self):
        self.sessions = []
        self.wakes = []
        self.faults = []
        self.open_explodes = self.end_explodes = False

    def open(self, name, wake, route=""):
        if self.open_explodes:
            raise KeyError("MARKER")
        if name != "router":
            raise StreamFailed("llm-extproc: unknown filter")
        session = Session(self)
        self.sessions.append(session)
        self.wakes.append(lambda: wake(session))
        return session

    def fault(self, kind, message, **details):
        self.faults.append((kind, details))


class ByHand:
    """An executor whose work is done when the test says so."""

    def __init__(self):
        self.waiting = []
        self.closed = False

    def submit(self, step, *arguments):
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = Future()
        self.waiting.append((future, step, arguments))
        return future

    async def work(self):
        future, step, arguments = self.waiting.pop(0)
        try:
            future.set_result(step(*arguments))
        except Exception as error:
            future.set_exception(error)
        await asyncio.sleep(0.01)  # the result travels through the loop

    async def cancel(self):
        future, _, _ = self.waiting.pop(0)
        future.cancel()
        await asyncio.sleep(0.01)


class Calls:
    """A connection whose streams are calls."""

    def __init__(self, **settings):
        self.service = Service()
        self.thread = ByHand()
        self.calls = []
        self.flushes = 0
        self.server = Server(**settings)
        self.server.connection._accept = self._accept

    def _accept(self, stream, headers):
        try:
            call = Call(self.service, stream, headers, 1 << 20, self.thread, self._flush)
        except Status as status:
            stream.finish(trailers(status.code, status.text, begun=False))
            return None
        self.calls.append(call)
        return call

    def _flush(self):
        self.flushes += 1

    def open(self, number=1, pairs=ROUTER, **options):
        return Ended(self.server.say(headers(number, pairs=pairs, **options)), number)

    def send(self, *messages, number=1, end=False):
        payload = b"".join(map(packed, messages))
        pieces = [payload[at : at + 16_384] for at in range(0, len(payload), 16_384)] or [b""]
        out = []
        for piece in pieces[:-1]:
            out += self.server.say(data(number, piece))
        return Ended(out + self.server.say(data(number, pieces[-1], end=end)), number)

    def sent(self, number=1):
        return Ended(self.server.sent(), number)

    @property
    def session(self):
        (session,) = self.service.sessions
        return session


class Ended:
    """What a client would have understood of some frames."""

    def __init__(self, answer, number):
        self.messages = grpc_wire.Messages(1 << 24).feed(body_of(answer, number))
        self.status = self.text = None
        self.reset = [code for stream, code in resets(answer) if stream == number]
        for each in answer:
            if each.kind == frames.HEADERS and each.stream == number and each.flags & frames.END_STREAM:
                found = dict(hpack.Decoder().decode(each.payload))
                self.status, self.text = int(found["grpc-status"]), found.get("grpc-message", "")
