import orjson
import pytest

from extproc import operations
from extproc.operations import Operation
from tests.support import data

PATHS = ["/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions", "/openai/chat/completions",
         "/proxy/openai/v1/chat/completions", "/proxy/openai/chat/completions"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["", "?x=1", "?api-version=2024-10-21"])
def test_every_spelling_of_chat(path, query):
    assert operations.find("POST", path + query).operation is Operation.CHAT


def test_the_table_has_exactly_these_spellings():
    assert sorted(operations.spellings(Operation.CHAT)) == sorted(("POST", path) for path in PATHS)


def test_azure_paths_name_their_model():
    asked = operations.find("POST", "/openai/deployments/gpt-4o_eu.1/chat/completions?api-version=x")
    assert (asked.operation, asked.model) == (Operation.CHAT, "gpt-4o_eu.1")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/CHAT/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1//chat/completions"),
        ("POST", "/v1/chat/completions;x"),
        ("POST", "/v1/chat%2Fcompletions"),
        ("POST", "/v1/../v1/chat/completions"),
        ("POST", "/openai/deployments/../chat/completions"),
        ("POST", "/openai/deployments/a%2Fb/chat/completions"),
        ("POST", "/openai/deployments//chat/completions"),
        ("DELETE", "/v1/models/ft"),
        ("POST", "/v1/models"),
        ("POST", ""),
        ("", ""),
    ],
)
def test_nothing_else_is_an_operation(method, path):
    assert operations.find(method, path) is None


@pytest.mark.data
def test_of_all_openai_operations_only_the_allowed_ones_pass():
    passed = set()
    for line in data("api/openai_operations.jsonl").read_text().splitlines():
        row = orjson.loads(line)
        path = row["path"].replace("{", "").replace("}", "")  # as if the ids were these words
        for prefix in ("", "/v1", "/openai/v1"):
            if operations.find(row["method"].upper(), prefix + path):
                passed.add((row["method"].upper(), row["path"]))
    assert passed == {
        ("POST", "/chat/completions"), ("POST", "/responses"), ("POST", "/completions"), ("POST", "/embeddings"),
        ("POST", "/moderations"), ("POST", "/images/generations"), ("POST", "/images/edits"),
        ("POST", "/images/variations"), ("POST", "/audio/speech"), ("POST", "/audio/transcriptions"),
        ("POST", "/audio/translations"), ("GET", "/models"), ("GET", "/models/{model}"),
        ("POST", "/responses?beta=true"),
    }  # fmt: skip


def test_the_gateways_own_health_is_an_operation():
    assert operations.find("GET", "/health/liveness").operation is Operation.HEALTH


@pytest.mark.parametrize(
    ("header", "format_"),
    [("anthropic-version", "anthropic-messages"), ("x-goog-api-client", "gemini"), ("x-goog-api-key", "gemini"),
     ("authorization", "openai-chat")],
)  # fmt: skip
def test_headers_tell_whose_models_are_asked_for(header, format_):
    """Google's SDK has come to ask for /v1/models, where OpenAI's and Anthropic's already did."""
    hinted = operations.hint({header: "x", ":path": "/v1/models"})
    for path in ("/v1/models", "/models", "/v1/models/some"):
        assert operations.find("GET", path, hinted).format == format_
    assert operations.find("GET", "/openai/v1/models/some", hinted).format == "openai-chat"
    assert operations.find("GET", "/v1beta/models", hinted).format == "gemini"
    assert operations.find("GET", "/anthropic/v1/models", hinted).format == "anthropic-messages"
    assert operations.find("POST", "/v1/chat/completions", hinted).format == "openai-chat"
    assert operations.spoken("/v1/nothing", hinted) == format_
