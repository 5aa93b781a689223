"""The upstream exchange: one attempt at one backend."""

import orjson
import pytest

from extproc import events
from extproc.errors import ProtocolError
from extproc.exchange.forward import DECISION, UPSTREAM
from extproc.exchange.headers import CREDENTIALS
from extproc.exchange.planning import Wanted
from extproc.exchange.upstream import ATTEMPT, BACKEND, UpstreamExchange
from tests.unit.exchange.support import compiled, headers_of, runtime

DECIDED = {"group": "g", "length": 12.0, "media": "application/json"}


def identified(name, one):
    """The id of a backend by its name."""
    return next((each.id for each in one.backends.values() if each.name == name), name)


def attempt(backend, model="gpt-x", number=1, headers=None, one=None):
    attributes = {BACKEND: identified(backend, one or runtime()), ATTEMPT: number}
    return events.RequestHeaders(headers or {}, False, attributes, {DECISION: {**DECIDED, **wanted(model)}})


def wanted(model, format_="openai-chat", operation="chat", *, stream=False, named=True):
    return Wanted(operation, format_, model, stream, named).told()


def test_one_message_where_only_headers_change():
    exchange = UpstreamExchange(runtime())
    effect, close = exchange.receive(attempt("main"))
    assert isinstance(close, events.Close)
    assert headers_of(effect) == {
        ":path": "/v1/chat/completions",
        ":authority": "127.0.0.1:1",
        "user-agent": "llm-extproc",
        "authorization": "Bearer sk-main",
        "content-length": "12",
        "content-type": "application/json",
    }
    told = {"backend": "main", "attempts": 1, "client_key": False, "format": "openai-chat", "losses": ""}
    assert effect.mutation.metadata == {UPSTREAM: told}


def test_an_earlier_attempts_length_and_type_do_not_stay():
    """Headers are shared by all attempts; the body is not: it is always the one the router filter let go on."""
    earlier = {"content-length": "999", "content-type": "multipart/form-data; boundary=x"}
    effect, _ = UpstreamExchange(runtime()).receive(attempt("main", number=2, headers=earlier))
    assert headers_of(effect)["content-length"] == "12"
    assert headers_of(effect)["content-type"] == "application/json"


def test_every_credential_of_an_earlier_attempt_is_removed_or_overwritten():
    effect, *_ = UpstreamExchange(runtime()).receive(attempt("main"))
    assert set(effect.mutation.remove) | {"authorization"} == set(CREDENTIALS)


def test_the_model_is_renamed_in_place():
    exchange = UpstreamExchange(runtime())
    assert exchange.receive(attempt("other/big", model="smart", number=2)) == [events.ContinueRequest()]
    body, close = exchange.receive(events.RequestBody(b'{"model": "smart", "n": 10000000000000000999}', True))
    assert body.body == b'{"model": "big", "n": 10000000000000000999}'
    said = headers_of(body)
    assert said[":authority"] == "other.example"
    assert said[":path"] == "/api/v1/chat/completions"
    assert said["content-length"] == str(len(body.body))
    assert isinstance(close, events.Close)


def test_keys_are_used_in_turn():
    one = compiled_runtime_keys()
    assert [one() for _ in range(4)] == ["Bearer sk-other", "Bearer sk-other-2", "Bearer sk-other", "Bearer sk-other-2"]


def compiled_runtime_keys():
    import tempfile

    from tests.unit.exchange.support import CONFIG

    with tempfile.TemporaryDirectory() as folder:
        fresh = compiled(CONFIG, folder)

    def key():
        exchange = UpstreamExchange(fresh)
        exchange.receive(attempt("other/big", one=fresh))
        return headers_of(exchange.receive(events.RequestBody(b'{"model": "gpt-x"}', True))[0])["authorization"]

    return key


def test_the_clients_key_stays_only_where_configured(tmp_path):
    text = 'providers: {p: {type: openai-compatible, base_url: "http://h/v1", keys: client}}'
    one = compiled(text, tmp_path)
    effect, *_ = UpstreamExchange(one).receive(attempt("p", one=one))
    assert "authorization" not in effect.mutation.remove
    assert "authorization" not in headers_of(effect)
    assert "api-key" in effect.mutation.remove


def test_an_explicit_provider_prefix_is_dropped(tmp_path):
    text = (
        'providers: {p: {type: openai-compatible, base_url: "http://h/v1", keys: none},'
        ' q: {type: openai-compatible, base_url: "http://i/v1", keys: none}}'
    )
    one = compiled(text, tmp_path)
    group = one.group("p/llama-3")
    exchange = UpstreamExchange(one)
    exchange.receive(attempt(group.backends[0].id, model="p/llama-3"))
    body, _ = exchange.receive(events.RequestBody(orjson.dumps({"model": "p/llama-3"}), True))
    assert orjson.loads(body.body) == {"model": "llama-3"}


@pytest.mark.parametrize(
    "event",
    [
        events.RequestBody(b"{}", True),
        events.ResponseHeaders({}, False),
        attempt("nobody"),
        events.RequestHeaders({}, False, {BACKEND: identified("main", runtime())}, {}),
    ],
)
def test_anything_else_is_a_protocol_error(event):
    with pytest.raises(ProtocolError):
        UpstreamExchange(runtime()).receive(event)
