"""Operations of the configuration: what is one, where it goes, and which paths are never one."""

import pytest

from extproc import operations
from extproc.config.load import load
from extproc.errors import ConfigError, Refused
from extproc.runtime import compile_runtime
from tests.unit.exchange.support import compiled

CONFIG = """
attach: []
providers:
  house:  {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: none}
  other:  {type: openai-compatible, base_url: "http://127.0.0.1:1/other/v2", keys: none}
  claude: {type: anthropic, keys: none}
operations:
  rerank:  {path: [/v1/rerank, /openai/v1/rerank], to: house, scan: generic}
  batches: {path: [/v1/batches, "/v1/batches/*"], method: [GET, POST], to: other, scan: opaque}
  moved:   {path: "/v1/moved/*", to: other, target: "/api/x/*?v=1", scan: generic, query: [limit]}
  turn:    {path: /v1/turn, to: other, target: /api/turn, scan: generic, query: [limit]}
  shared:  {path: /v1/shared, scan: generic}
  stored:  {path: "/v1/responses/*", method: [GET, DELETE], to: house, scan: generic}
  bundles: {path: "/anthropic/v1/messages/batches/*", method: GET, to: claude, scan: opaque}
"""


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    return compiled(CONFIG, tmp_path_factory.mktemp("named")).named


@pytest.mark.parametrize(
    ("method", "target", "name", "path", "whole", "words"),
    [
        ("POST", "/v1/rerank", "rerank", "/rerank", "", ()),
        ("POST", "/openai/v1/rerank", "rerank", "/rerank", "", ()),
        ("POST", "/v1/rerank?", "rerank", "/rerank", "", ()),
        ("GET", "/v1/batches", "batches", "/batches", "", ()),
        ("GET", "/v1/batches?limit=2&after=b%5F1", "batches", "/batches?limit=2&after=b%5F1", "", ()),
        ("POST", "/v1/batches/b_1/cancel", "batches", "/batches/b_1/cancel", "", ()),
        ("POST", "/v1/moved/a:b/c", "moved", "/moved/a:b/c", "/api/x/a:b/c?v=1", ("a:b/c",)),
        ("POST", "/v1/moved/a?limit=1+2", "moved", "/moved/a?limit=1+2", "/api/x/a?v=1&limit=1+2", ("a", "1 2")),
        ("POST", "/v1/turn?limit=1", "turn", "/turn?limit=1", "/api/turn?limit=1", ("1",)),
        ("POST", "/v1/shared", "shared", "/shared", "", ()),
        ("DELETE", "/v1/responses/resp_1", "stored", "/responses/resp_1", "", ("resp_1",)),
        ("GET", "/anthropic/v1/messages/batches/b_1", "bundles", "/messages/batches/b_1", "", ()),
    ],
)
def test_where_it_goes(named, method, target, name, path, whole, words):
    assert operations.find(method, target) is None
    asked = named.find(method, target)
    assert (asked.operation, asked.passage.path, asked.passage.target) == (name, path, whole)
    assert asked.passage.words == words
    assert asked.names_model is (asked.format == "opaque")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/rerank"),
        ("POST", "/v1/rerank/"),
        ("POST", "/v1/Rerank"),
        ("POST", "/rerank"),
        ("GET", "/v1/batches/"),
        ("GET", "/v1/batches//a"),
        ("GET", "/v1/batches/a/"),
        ("GET", "/v1/batches/."),
        ("GET", "/v1/batches/.."),
        ("GET", "/v1/batches/../files"),
        ("GET", "/v1/batches/a/../../files"),
        ("GET", "/v1/batches/%2e%2e"),
        ("GET", "/v1/batches/a%2Fb"),
        ("GET", "/v1/batches/a;b"),
        ("GET", "/v1/batches/a\\b"),
        ("GET", "/v1/batches/é"),
        ("GET", "/v1/batches/a\n"),
        ("GET", "/v1/batches/" + "a" * 300),
        ("GET", "/v1/batches/" + "a/" * 20 + "a"),
        ("GET", "/v1/batches*"),
        ("GET", "/v1/batches/*"),
        ("GET", "/v1/batchesandmore"),
        ("PUT", "/v1/batches"),
        ("GET", "/v1/files"),
        ("GET", "/v1/organization/admin_api_keys"),
    ],
)
def test_what_is_none(named, method, target):
    assert named.find(method, target) is None


@pytest.mark.parametrize(
    "query", ["x=1", "limit=1&key=a", "limit=a b", "limit=<", "limit=" + "1" * 300, "limit", "&", "=1"]
)
def test_queries_have_only_what_may_pass(named, query):
    if query == "limit":
        assert named.find("GET", "/v1/batches?limit").passage.path == "/batches?limit"
        return
    with pytest.raises(Refused) as caught:
        named.find("GET", f"/v1/batches?{query}")
    assert (caught.value.status, caught.value.code) == (400, "unknown_parameter")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/Chat/Completions", "/v1/CHAT/completions", "/openai/V1/responses", "/v1/messages", "/x/y:GenerateContent",
        "/v1/models/m:streamgeneratecontent", "/bedrock/model/m/Converse", "/openai/deployments/d/CHAT/completions",
    ],
)  # fmt: skip
def test_nothing_passes_that_a_server_could_take_for_what_is_inspected(path):
    assert operations.resembles(path)


def test_a_wide_operation_does_not_reach_what_is_inspected(tmp_path):
    text = CONFIG + '  wide: {path: ["/v1/chat/*", "/v1beta/models/*"], to: house, scan: opaque}\n'
    named = compiled(text, tmp_path).named
    assert named.find("POST", "/v1/chat/other")
    assert named.find("POST", "/v1/chat/COMPLETIONS") is None
    assert named.find("POST", "/v1beta/models/x:predict")
    assert named.find("POST", "/v1beta/models/x:GENERATEcontent") is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{path: /v1/x, to: house}", "scan"),
        ("{path: /v1/x, to: house, scan: none}", "generic"),
        ("{path: /v1/x, to: nobody, scan: generic}", "no provider 'nobody'"),
        ("{path: /v1/x, scan: opaque}", "needs `to`"),
        ("{path: x, to: house, scan: generic}", "is no path"),
        ("{path: /v1/../x, to: house, scan: generic}", "is no path"),
        ("{path: /v1/a%2Fb, to: house, scan: generic}", "is no path"),
        ("{path: /v1/a*, to: house, scan: generic}", "is no path"),
        ("{path: '/v1/*/b', to: house, scan: generic}", "is no path"),
        ("{path: /v1/x/, to: house, scan: generic}", "is no path"),
        ("{path: '/v1/x?y=1', to: house, scan: generic}", "is no path"),
        ("{path: [], to: house, scan: generic}", "at least 1"),
        ("{path: '/*', to: house, scan: opaque}", "is no path"),
        ("{path: '/v1/*', to: house, scan: opaque}", "too wide"),
        ("{path: '/openai/v1/*', to: house, scan: opaque}", "too wide"),
        ("{path: /v1/chat/completions, to: house, scan: opaque}", "the gateway knows"),
        ("{path: /v1/x, to: house, scan: generic, target: x}", "must be a path"),
        ("{path: '/v1/x/*', to: house, scan: generic, target: /y}", "none of them"),
        ("{path: /v1/x, to: house, scan: generic, target: '/y/*'}", "none of them"),
        ("{path: /v1/x, to: house, scan: generic, query: [limit, key]}", "where keys stand"),
        ("{path: /v1/x, to: house, scan: generic, method: HEAD}", "method"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(tmp_path, line, problem):
    path = tmp_path / "extproc.yaml"
    path.write_text(CONFIG + f"  odd: {line}\n")
    with pytest.raises(ConfigError) as caught:
        compile_runtime(load(path, {}))
    found = [each for each in caught.value.problems if problem in str(each)]
    assert found, caught.value.problems
    assert found[0].line == len(CONFIG.splitlines()) + 1
    assert "operations.odd" in found[0].path


def test_names_are_new_ones(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text(CONFIG + "  chat: {path: /v1/x, to: house, scan: generic}\n")
    with pytest.raises(ConfigError, match="'chat' is the name of an operation that the gateway knows"):
        load(path, {})


def test_policies_may_name_them(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text(CONFIG + "policies:\n  few: {kind: operations, allow: [chat, rerank]}\n")
    load(path, {})
    path.write_text(CONFIG + "policies:\n  few: {kind: operations, allow: [chat, rerink]}\n")
    with pytest.raises(ConfigError, match="there is no operation 'rerink'"):
        load(path, {})


def test_their_providers_have_groups_that_are_no_models(tmp_path):
    runtime = compiled(CONFIG, tmp_path)
    hidden = [group for group in runtime.groups if not group.public]
    assert sorted(group.name for group in hidden) == ["provider:claude", "provider:house", "provider:other"]
    assert not {group.name for group in hidden} & {*runtime.models(), *runtime.by_name}
    assert runtime.group("provider:house") is None
    assert {group.backends[0].id for group in hidden} <= set(runtime.backends)
    assert len({group.slug for group in runtime.groups}) == len(runtime.groups)
