"""Where requests carry what: the one table of field names, for every API we know.

Rules read a body by names, whatever its format: a name counts in every spelling that some server accepts (``max_tokens``,
``maxTokens``, ``MAX_TOKENS``), at any depth outside of the conversation. So a field of another API counts too much rather
than too little. Only where something is added does the format decide (``SHAPES``).

Sources: API references of OpenAI (chat, completions, responses, images), Anthropic (messages, complete), Gemini
(generateContent), Bedrock (Converse, and the bodies of InvokeModel), Azure OpenAI; OpenRouter, vLLM, Ollama, llama.cpp, TGI.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from extproc.errors import LimitExceeded
from extproc.framing.jsonedit import EditPath
from extproc.framing.jsontext import Path


@lru_cache(4096)
def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]+", "", name.casefold())


def plain(name: Any) -> str:
    """A name in one spelling: without case, underscores, hyphens, blanks. Empty for what is no name."""
    if not isinstance(name, str):
        return ""
    return _plain(name) if len(name) <= 64 else name.casefold()


OUTPUT: Final = frozenset({
    "maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxtokenstosample", "maxnewtokens", "maxtokencount",
    "maxgenlen", "numpredict", "npredict", "maxlength",
})  # fmt: skip
"""Most tokens of the answer."""
BUDGET: Final = frozenset({"budgettokens", "thinkingbudget", "thinkingtokenbudget", "reasoningbudget"})
"""Most tokens of thinking; providers count them into the answer's limit."""
CHOICES: Final = frozenset({
    "n", "bestof", "candidatecount", "numcompletions", "numgenerations", "numresults", "numreturnsequences",
    "samplecount", "numimages", "numberofimages",
})  # fmt: skip
"""How many answers or images are made of one prompt."""
TALKS: Final = frozenset({"messages", "input", "contents", "chathistory"})
"""The conversation, as a list or a text."""
PROMPTS: Final = TALKS | {"prompt"}
TOOLS: Final = frozenset({"tools", "functions"})
SERVICES: Final = {
    "mcpservers": "mcp",
    "plugins": "plugin",
    "websearchoptions": "web_search",
    "connectors": "connector",
}
"""Tools that have a field of their own, and the type they go by."""
CHOICE: Final = frozenset({"toolchoice", "functioncall", "functioncallingconfig"})
LISTS: Final = frozenset({"models", "fallbacks", "fallbackmodels"})
"""Lists of models; some servers go on to the next one when the first fails."""
MODELS: Final = LISTS | {"model", "modelid"}
"""Names of models."""

_CLOSED: Final = PROMPTS | {
    "system", "systeminstruction", "instructions", "tools", "functions", "responseformat", "responseschema",
    "responsejsonschema", "schema", "jsonschema", "properties", "metadata", "requestmetadata", "labels", "logitbias",
    "prediction", "guidedjson", "variables", "documents",
}  # fmt: skip
"""What holds words or schemas of the caller's: names in there are not settings."""


MAX_MEMBERS: Final = 10_000
"""Settings of one request. Each costs some microseconds in every rule."""


class Member(NamedTuple):
    """A member of the request's settings; ``name`` is plain."""

    path: Path
    name: str
    value: Any

    @property
    def param(self) -> str:
        """The field as error bodies name it; only the names of tables, never the client's text."""
        return ".".join(step for step in self.path if isinstance(step, str) and step.isidentifier())[:100]


def members(body: dict[str, Any]) -> list[Member]:
    """Every setting of a request, at any depth outside of the conversation and of schemas.

    Raises:
        LimitExceeded: there are more than anybody needs.
    """
    found: list[Member] = []
    stack: list[tuple[Path, Any]] = [((), body)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, list):
            inside = [(at, each) for at, each in enumerate(value) if isinstance(each, (dict, list))]
            if len(stack) + len(inside) > MAX_MEMBERS:
                raise LimitExceeded(f"it has more than {MAX_MEMBERS} settings")
            stack += [((*path, at), each) for at, each in inside]
            continue
        if len(found) + len(value) > MAX_MEMBERS:
            raise LimitExceeded(f"it has more than {MAX_MEMBERS} settings")
        for key, child in value.items():
            name = plain(key)
            found.append(Member((*path, key), name, child))
            if isinstance(child, (dict, list)) and name not in _CLOSED:
                stack.append(((*path, key), child))
    return found


def named(found: Iterable[Member], names: frozenset[str]) -> list[Member]:
    """Those of these plain names that are not null."""
    return [member for member in found if member.name in names and member.value is not None]


def whole(value: Any) -> int | None:
    """A whole number as providers take it; None for anything else: texts, true, fractions, numbers beyond all use."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -(2**53) < value < 2**53:
        return None
    return int(value) if value == int(value) else None


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a format has what a policy may add.

    Args:
        output: the fields that limit the answer; the first is the one to add. Empty: the format generates no tokens.
        system: where the operator's words go: the member's name, or ``messages`` for a message of its own.
        text: how a text stands there: ``plain`` or as a ``part`` (an object with ``text``), ``typed`` part, or ``parts``
            (an object with a list of parts).
        spellings: fields may also be written in snake case (as protobuf's JSON has it).
        unsure: which of ``output`` a body of this kind takes is not known, so that none can be added.
    """

    output: tuple[Path, ...] = ()
    system: str = ""
    text: str = "plain"
    spellings: bool = False
    unsure: bool = False


SHAPES: Final[dict[str, Shape]] = {
    "openai-chat": Shape((("max_completion_tokens",), ("max_tokens",)), "messages"),
    "openai-completions": Shape((("max_tokens",),)),
    "openai-responses": Shape((("max_output_tokens",),), "instructions"),
    "anthropic-messages": Shape((("max_tokens",),), "system", "typed"),
    "anthropic-complete": Shape((("max_tokens_to_sample",),)),
    "gemini": Shape((("generationConfig", "maxOutputTokens"),), "systemInstruction", "parts", spellings=True),
    "bedrock-converse": Shape((("inferenceConfig", "maxTokens"),), "system", "part"),
    "bedrock-invoke-anthropic": Shape((("max_tokens",),), "system", "typed"),
    "bedrock-invoke": Shape(
        (
            ("max_tokens",),
            ("max_gen_len",),
            ("textGenerationConfig", "maxTokenCount"),
            ("inferenceConfig", "maxTokens"),
            ("max_completion_tokens",),
        ),
        unsure=True,
    ),
    "bedrock-count": Shape(),
    "openai-embeddings": Shape(),
    "openai-moderations": Shape(),
    "openai-images": Shape(),
    "openai-image-edits": Shape(),
    "openai-audio": Shape(),
    "openai-other": Shape(),
    "generic": Shape(),
    "opaque": Shape(),
    "anthropic-count": Shape((), "system", "typed"),
    "gemini-count": Shape(spellings=True),
    "gemini-embed": Shape(spellings=True),
    "gemini-batch-embed": Shape(spellings=True),
}
"""By ``Format.name``; every format is here."""

_INVOKE: Final = "bedrock-invoke"
_NOVA: Final = Shape((("inferenceConfig", "maxTokens"), ("inferenceConfig", "max_new_tokens")), "system", "part")
_TITAN: Final = Shape((("textGenerationConfig", "maxTokenCount"),))
_PLAIN: Final = Shape((("max_tokens",),))
_TALKING: Final = Shape((("max_tokens",), ("max_completion_tokens",)), "messages")
_MAKERS: Final[tuple[tuple[tuple[str, ...], Shape], ...]] = (
    (("amazon.nova",), _NOVA),
    (("amazon.titan-text", "amazon.titan-tg"), _TITAN),
    (("meta.llama",), Shape((("max_gen_len",),))),
    (("cohere.command-r",), Shape((("max_tokens",),), "preamble")),
    (("ai21.j2",), Shape((("maxTokens",),))),
    (("openai.gpt",), Shape((("max_completion_tokens",), ("max_tokens",)), "messages")),
    (("mistral.", "cohere.", "ai21.", "deepseek.", "qwen.", "writer."), _PLAIN),
)
"""Bodies of InvokeModel by what a model's name has in it; the first that fits.

Source: Amazon Bedrock user guide, "Inference request parameters and response fields for foundation models".
"""


def shape_of(format_: str, model: str, body: dict[str, Any]) -> Shape:
    """Where a body has what a policy may add. InvokeModel's is the model's maker's, whom the name tells, or the body."""
    if format_ != _INVOKE:
        return SHAPES[format_]
    found = next((shape for parts, shape in _MAKERS if any(part in model for part in parts)), None)
    talks = isinstance(body.get("messages"), list)
    if found is not None:
        return _TALKING if found is _PLAIN and talks else found
    if "inputText" in body:
        return _TITAN
    if "inferenceConfig" in body or "schemaVersion" in body or (talks and _untyped(body["messages"])):
        return _NOVA
    return _TALKING if talks and "system" not in body else SHAPES[format_]


def _untyped(messages: list[Any]) -> bool:
    """Whether messages have parts that are told apart as Converse's are: by their members."""
    parts = [each["content"] for each in messages if isinstance(each, dict) and isinstance(each.get("content"), list)]
    return any(isinstance(part, dict) and "type" not in part for content in parts for part in content)


QUIET: Final = frozenset({"models", "health", "count_tokens", "embeddings", "moderations"})
"""Operations that generate nothing, though some have the bodies of others that do."""


def place(body: dict[str, Any], path: Path, shape: Shape) -> Path:
    """A path as this body spells it, where the format takes more than one spelling."""
    if not shape.spellings:
        return path
    spelled: list[str | int] = []
    value: Any = body
    for step in path:
        key = _CAPITAL.sub(lambda found: "_" + found[0].lower(), str(step))
        names = value if isinstance(value, dict) else {}
        spelled.append(key if names.get(key) is not None and names.get(step) is None else step)
        value = names.get(spelled[-1])
    return tuple(spelled)


_CAPITAL: Final = re.compile(r"(?<!^)[A-Z]")


def at(body: Any, path: Path) -> Any:
    """The value at a path of names; None where there is none."""
    for step in path:
        body = body.get(step) if isinstance(body, dict) else None
    return body


def inside(path: EditPath, edits: Container[EditPath]) -> bool:
    """Whether one of these edits already takes away or replaces what is around a path."""
    return any(path[:end] in edits for end in range(1, len(path)))


def added(body: dict[str, Any], path: Path, value: Any) -> tuple[Path, Any]:
    """The edit that sets a member; what is around it and is no object is made one."""
    for end in range(1, len(path)):
        around = at(body, path[:end])
        if around is not None and not isinstance(around, dict):
            for step in reversed(path[end:]):
                value = {step: value}
            return path[:end], value
    return path, value
