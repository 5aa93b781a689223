"""Where calls go: what each provider's reference says, and where recorded SDKs sent them."""

from urllib.parse import unquote, urlsplit

import pytest
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from botocore.session import Session

from extproc.framing.jsontext import parse
from extproc.providers.api import Call
from tests.support import data
from tests.unit.providers.support import one

CHAT = ("openai-chat", "chat")
OPENAI_PATHS = [
    (CHAT, "/chat/completions"),
    (("openai-responses", "chat"), "/responses"),
    (("openai-responses", "count_tokens"), "/responses/input_tokens"),
    (("openai-completions", "completions"), "/completions"),
    (("openai-embeddings", "embeddings"), "/embeddings"),
    (("openai-moderations", "moderations"), "/moderations"),
    (("openai-images", "images"), "/images/generations"),
    (("openai-image-edits", "image-edits"), "/images/edits"),
    (("openai-image-edits", "image-variations"), "/images/variations"),
    (("openai-audio", "speech"), "/audio/speech"),
    (("openai-audio", "transcriptions"), "/audio/transcriptions"),
    (("openai-audio", "translations"), "/audio/translations"),
    (("", "models"), "/models"),
]


def target(provider, format_, operation, model="m", **more):
    return provider.kind.target(provider.base, Call(format_, operation, model, **more))


@pytest.mark.parametrize(("call", "path"), OPENAI_PATHS)
def test_openai(tmp_path, call, path):
    assert target(one(tmp_path, "{type: openai, keys: env:K}"), *call) == f"/v1{path}"


def test_what_a_provider_does_not_speak_has_no_target(tmp_path):
    for type_, formats in {
        "openai": set(),
        "openai-compatible, base_url: http://h/v1": {"openai-responses", "openai-images", "openai-audio"},
        "mistral": {"openai-responses", "openai-completions", "openai-images", "openai-audio"},
        "groq": {"openai-completions", "openai-embeddings", "openai-moderations"},
        "deepseek": {"openai-responses", "openai-completions", "openai-embeddings"},
    }.items():
        provider = one(tmp_path, f"{{type: {type_}, keys: env:K}}")
        none = {call[0] for call, _ in OPENAI_PATHS if target(provider, *call) is None}
        assert formats <= none
        assert target(provider, *CHAT) is not None
        assert target(provider, "gemini", "chat") is None
        assert target(provider, "anthropic-messages", "chat") is None
        assert target(provider, "openai-chat", "embeddings") is None


@pytest.mark.parametrize(
    ("type_", "host", "path"),
    [
        ("openai", "api.openai.com", "/v1/chat/completions"),
        ("groq", "api.groq.com", "/openai/v1/chat/completions"),
        ("mistral", "api.mistral.ai", "/v1/chat/completions"),
        ("cerebras", "api.cerebras.ai", "/v1/chat/completions"),
        ("deepseek", "api.deepseek.com", "/v1/chat/completions"),
        ("xai", "api.x.ai", "/v1/chat/completions"),
        ("openrouter", "openrouter.ai", "/api/v1/chat/completions"),
        ("together", "api.together.xyz", "/v1/chat/completions"),
        ("ollama", "127.0.0.1", "/v1/chat/completions"),
        ("vllm", "127.0.0.1", "/v1/chat/completions"),
    ],
)
def test_those_that_speak_openai(tmp_path, type_, host, path):
    provider = one(tmp_path, f"{{type: {type_}, keys: env:K}}")
    assert (provider.host, target(provider, *CHAT)) == (host, path)
    assert provider.kind.formats[0] == provider.kind.speaks("m")[0] == "openai-chat"


def test_a_servers_formats_and_chat_path_are_configurable(tmp_path):
    text = "{type: openai-compatible, base_url: http://h:1/v1, keys: none, path: '/chat?v=1', formats: %s}"
    provider = one(tmp_path, text % "[openai-responses, anthropic-messages, anthropic-count]")
    assert target(provider, *CHAT) == "/v1/chat?v=1"
    assert target(provider, "openai-responses", "chat") == "/v1/responses"
    assert target(provider, "anthropic-messages", "chat") == "/v1/messages"
    assert target(provider, "anthropic-count", "count_tokens") == "/v1/messages/count_tokens"
    assert {"anthropic-version", "anthropic-beta"} <= provider.kind.passes
    assert provider.kind.formats[0] == "openai-chat"


@pytest.mark.parametrize(
    "base_url",
    [
        "resource: res",
        'base_url: "https://res.openai.azure.com"',
        'base_url: "https://res.openai.azure.com/openai/v1/"',
        'base_url: "https://res.openai.azure.com/openai/"',
    ],
)
def test_azure_v1(tmp_path, base_url):
    provider = one(tmp_path, f"{{type: azure, {base_url}, keys: env:K, deployments: {{gpt-4o: main}}}}")
    assert provider.host == "res.openai.azure.com"
    assert provider.kind.own_name("gpt-4o") == "main"
    assert provider.kind.own_name("other") == "other"
    for call, path in OPENAI_PATHS:
        wanted = None if call[1] in ("moderations", "image-variations") else f"/openai/v1{path}"
        assert target(provider, *call) == wanted
    assert target(provider, "", "files", path="/files?limit=1") == "/openai/v1/files?limit=1"
    assert provider.kind.stream_usage


@pytest.mark.parametrize(("version", "usage"), [("2024-10-21", True), ("2024-02-01", False)])
def test_azure_classic(tmp_path, version, usage):
    fields = f"{{type: azure, resource: res, keys: env:K, api_version: {version}, deployments: {{'*': d 1}}}}"
    provider = one(tmp_path, fields)
    model = provider.kind.own_name("whatever")
    for (format_, operation), path in OPENAI_PATHS:
        wanted = f"/openai/deployments/d%201{path}?api-version={version}"
        if operation in ("moderations", "image-variations"):
            wanted = None
        elif operation == "models" or format_ == "openai-responses":
            wanted = f"/openai{path}?api-version={version}"
        assert target(provider, format_, operation, model) == wanted
    assert target(provider, "", "files", path="/files?limit=1") == f"/openai/files?limit=1&api-version={version}"
    assert provider.kind.stream_usage is usage


def test_azure_preview_of_v1(tmp_path):
    provider = one(tmp_path, "{type: azure, resource: res, keys: env:K, api_version: preview}")
    assert target(provider, *CHAT) == "/openai/v1/chat/completions?api-version=preview"


@pytest.mark.parametrize("base", ["https://api.anthropic.com", "https://api.anthropic.com/v1/"])
def test_anthropic(tmp_path, base):
    provider = one(tmp_path, f'{{type: anthropic, keys: env:K, base_url: "{base}"}}')
    assert target(provider, "anthropic-messages", "chat") == "/v1/messages"
    assert target(provider, "anthropic-messages", "chat", stream=True) == "/v1/messages"
    assert target(provider, "anthropic-count", "count_tokens") == "/v1/messages/count_tokens"
    assert target(provider, "anthropic-complete", "completions") == "/v1/complete"
    assert target(provider, "", "models") == "/v1/models"
    assert target(provider, *CHAT) is None
    assert provider.kind.formats[0] == "anthropic-messages"


@pytest.mark.parametrize(
    ("base", "prefix"),
    [
        ("https://generativelanguage.googleapis.com", "/v1beta"),
        ("https://generativelanguage.googleapis.com/v1", "/v1"),
        ("https://proxy.example/gemini/v1alpha/", "/gemini/v1alpha"),
    ],
)
def test_gemini(tmp_path, base, prefix):
    provider = one(tmp_path, f'{{type: gemini, keys: env:K, base_url: "{base}"}}')
    model = f"{prefix}/models/gemini-x"
    for format_, operation, stream, method in (
        ("gemini", "chat", False, "generateContent"),
        ("gemini", "chat", True, "streamGenerateContent?alt=sse"),
        ("gemini-count", "count_tokens", False, "countTokens"),
        ("gemini-embed", "embeddings", False, "embedContent"),
        ("gemini-batch-embed", "embeddings", False, "batchEmbedContents"),
    ):
        assert target(provider, format_, operation, "gemini-x", stream=stream) == f"{model}:{method}"
    assert target(provider, "", "models") == f"{prefix}/models"
    assert target(provider, "gemini", "chat", "tunedModels/a") == f"{prefix}/tunedModels/a:generateContent"
    assert target(provider, "gemini", "chat", "a/../b?c#d") == f"{prefix}/models/a%2F..%2Fb%3Fc%23d:generateContent"
    assert target(provider, *CHAT) is None


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("text-bison-001", "gemini-flash-latest"),
        ("models/chat-bison-001", "gemini-flash-latest"),
        ("embedding-gecko-001", "gemini-embedding-001"),
        ("mine", "gemini-flash-latest"),
        ("theirs", "gemini-pro-latest"),
    ],
)
def test_names_of_gemini_and_palm(tmp_path, asked, name):
    provider = one(tmp_path, "{type: gemini, keys: env:K, names: {mine: text-bison, theirs: models/gemini-pro-latest}}")
    assert provider.kind.own_name(asked) == name


def test_vertex(tmp_path):
    provider = one(tmp_path, "{type: vertex, machine: true, project: p-1, location: europe-west4}")
    assert provider.host == "europe-west4-aiplatform.googleapis.com"
    place = "/v1/projects/p-1/locations/europe-west4"
    google, claude = f"{place}/publishers/google/models", f"{place}/publishers/anthropic/models"
    sonnet = provider.kind.own_name("claude-sonnet-4-5-20250929")
    assert provider.kind.speaks(sonnet)[0] == "anthropic-messages"
    assert provider.kind.speaks("gemini-x")[0] == "gemini"
    assert provider.kind.speaks("meta/llama-4") == ("openai-chat",)
    for call, model, path in (
        (("gemini", "chat", False), "gemini-x", f"{google}/gemini-x:generateContent"),
        (("gemini", "chat", True), "gemini-x", f"{google}/gemini-x:streamGenerateContent?alt=sse"),
        (("gemini-count", "count_tokens", False), "gemini-x", f"{google}/gemini-x:countTokens"),
        (("gemini-embed", "embeddings", False), "gemini-embedding-2", f"{google}/gemini-embedding-2:embedContent"),
        (("gemini-embed", "embeddings", False), "gemini-embedding-001", None),
        (("gemini-embed", "embeddings", False), "text-embedding-005", None),
        (("gemini", "chat", False), "a/../b", None),
        (("anthropic-messages", "chat", False), sonnet, f"{claude}/claude-sonnet-4-5@20250929:rawPredict"),
        (("anthropic-messages", "chat", True), sonnet, f"{claude}/claude-sonnet-4-5@20250929:streamRawPredict"),
        (("anthropic-count", "count_tokens", False), sonnet, f"{claude}/count-tokens:rawPredict"),
        (("anthropic-messages", "chat", False), "gemini-x", None),
        (("gemini", "chat", False), sonnet, None),
        (("openai-chat", "chat", True), "meta/llama-4", f"{place}/endpoints/openapi/chat/completions"),
        (("openai-chat", "chat", True), "gemini-x", None),
        (("", "models", False), "", None),
    ):
        assert provider.kind.target(provider.base, Call(call[0], call[1], model, call[2])) == path


@pytest.mark.parametrize(
    ("location", "host"),
    [("global", "aiplatform.googleapis.com"), ("eu", "aiplatform.eu.rep.googleapis.com")],
)
def test_places_of_vertex_without_a_region(tmp_path, location, host):
    assert one(tmp_path, f"{{type: vertex, machine: true, project: p, location: {location}}}").host == host


MODELS = [
    "anthropic.claude-3-haiku-20240307-v1:0",
    "us.amazon.nova-lite-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc_1",
    "a b/ü~",
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("format_", "operation", "stream", "named"),
    [
        ("bedrock-converse", "chat", False, "Converse"),
        ("bedrock-converse", "chat", True, "ConverseStream"),
        ("bedrock-invoke", "chat", False, "InvokeModel"),
        ("bedrock-invoke", "chat", True, "InvokeModelWithResponseStream"),
        ("bedrock-count", "count_tokens", False, "CountTokens"),
    ],
)
def test_bedrock_is_where_botocore_says(tmp_path, model, format_, operation, stream, named):
    provider = one(tmp_path, "{type: bedrock, region: eu-central-1, keys: env:K}")
    service = ServiceModel(Session().get_component("data_loader").load_service_model("bedrock-runtime", "service-2"))
    asked = service.operation_model(named)
    wanted = create_serializer("rest-json", False).serialize_to_request({"modelId": model}, asked)["url_path"]
    assert target(provider, format_, operation, model, stream=stream) == wanted
    assert provider.host == "bedrock-runtime.eu-central-1.amazonaws.com"


def test_only_claude_is_invoked_as_claude(tmp_path):
    kind = one(tmp_path, "{type: bedrock, region: eu-central-1, keys: env:K}").kind
    assert "bedrock-invoke-anthropic" in kind.speaks("eu.anthropic.claude-x")
    assert "bedrock-invoke-anthropic" not in kind.speaks("amazon.nova")
    assert kind.target("", Call("bedrock-invoke-anthropic", "chat", "amazon.nova")) is None
    assert kind.target("", Call("", "models", "")) is None
    assert kind.target("", Call("openai-chat", "chat", "m")) is None


@pytest.mark.parametrize("model", ["", ".", ".."])
def test_no_model_climbs_out_of_its_path(tmp_path, model):
    for fields, format_ in (
        ("type: bedrock, region: eu-west-1, keys: env:K", "bedrock-converse"),
        ("type: azure, resource: r, api_version: 2024-10-21, keys: env:K", "openai-chat"),
        ("type: gemini, keys: env:K", "gemini"),
        ("type: vertex, machine: true, project: p", "gemini"),
    ):
        found = target(one(tmp_path, f"{{{fields}}}"), format_, "chat", model)
        assert found is None or ("/.:" in found or "/..:" in found)  # with its method behind it, it is a name


PROVIDERS = {
    "api.openai.com": "{type: openai, keys: env:K}",
    "api.groq.com": "{type: groq, keys: env:K}",
    "api.mistral.ai": "{type: mistral, keys: env:K}",
    "openrouter.ai": "{type: openrouter, keys: env:K}",
    "api.anthropic.com": "{type: anthropic, keys: env:K}",
    "generativelanguage.googleapis.com": "{type: gemini, keys: env:K}",
    "aiplatform.googleapis.com": '{type: vertex, machine: true, project: pydantic-ai, base_url: "https://h/v1beta1"}',
    "bedrock-runtime.us-east-1.amazonaws.com": "{type: bedrock, region: us-east-1, keys: env:K}",
    "bedrock-runtime.us-west-2.amazonaws.com": "{type: bedrock, region: us-west-2, keys: env:K}",
    "pydantic-ai-realtime-dev.openai.azure.com": "{type: azure, resource: pydantic-ai-realtime-dev, keys: env:K}",
}
FORMATS = [(*call, False) for call, _ in OPENAI_PATHS] + [
    ("anthropic-messages", "chat", False),
    ("anthropic-count", "count_tokens", False),
    ("gemini", "chat", False),
    ("gemini", "chat", True),
    ("gemini-count", "count_tokens", False),
    ("gemini-embed", "embeddings", False),
    ("gemini-batch-embed", "embeddings", False),
    ("bedrock-converse", "chat", False),
    ("bedrock-converse", "chat", True),
    ("bedrock-invoke", "chat", False),
    ("bedrock-invoke", "chat", True),
    ("bedrock-count", "count_tokens", False),
]
PASSED_THROUGH = ("/v1/conversations", "/v1/files", "/v1/vector_stores", "/v1/responses/")


@pytest.mark.data
def test_recorded_sdks_went_where_we_would(tmp_path):
    seen = 0
    for path in sorted(data("wire").glob("*/*.json")):
        for exchange in recorded(path):
            url = urlsplit(exchange["request"]["url"])
            if exchange["request"]["method"].upper() != "POST" or url.hostname not in PROVIDERS:
                continue
            if url.path.startswith(PASSED_THROUGH) and not url.path.endswith("/input_tokens"):
                continue
            provider = one(tmp_path, PROVIDERS[url.hostname])
            model = model_in(url.path)
            there = {target(provider, *call[:2], model, stream=call[2]) for call in FORMATS}
            query = url.query.replace("beta=true", "")  # Anthropic's SDK says it; it means nothing
            assert url.path + (f"?{query}" if query else "") in there, path.name
            seen += 1
    assert seen > 100


def recorded(path):
    return parse(path.read_bytes())["exchanges"]


def model_in(path):
    if "/model/" in path:
        return unquote(path.partition("/model/")[2].partition("/")[0])
    return unquote(path.rpartition("/models/")[2].partition(":")[0]) if "/models/" in path else "m"
