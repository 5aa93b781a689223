"""Policies in Python that see requests and answers as a whole, behind a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e.conftest import Start
from tests.e2e.gateway import Running
from tests.e2e.harness import Case
from tests.e2e.upstream import Upstream, chunked, completion, error, event, events, respond

CODE = """
from extproc.plugin import Audit, Block, Mark, Patch, Redact, Reply

class Sets:
    def request(self, request):
        words = request.chat.messages[-1].parts[0].text
        return Patch(headers={"X-Words": str(len(words)), "x-override": request.override})
    Override = ["mild", "strict"]

class Looks:
    def response(self, answer):
        (text,) = answer.texts
        if "frobozz" in text.text:
            return Block("bad")
        if "reply" in text.text:
            return Reply("Said instead.")
        if "mark" in text.text:
            return Redact([Mark(0, text.text.index("mark"), text.text.index("mark") + 4, "word")])
        return Audit("seen")
"""


@pytest.fixture(scope="module")
def hooked(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Running:
    own: Path = tmp_path_factory.mktemp("own") / "own.py"
    own.write_text(CODE)
    python = {"kind": "python", "action": "redact"}
    policies = {
        "sets": {**python, "path": f"{own}:Sets"},
        "looks": {**python, "path": f"{own}:Looks"},
    }
    return start("hooked", policies=policies, processor={"python": True})


@pytest.fixture
def one(hooked: Running, upstreams: dict[str, Upstream]) -> Iterator[Case]:
    found = Case(hooked, upstreams, tls=False)
    yield found
    found.close()


@pytest.mark.parametrize("stream", [False, True])
def test_headers_reach_the_provider_at_every_attempt(one: Case, stream: bool) -> None:
    model = f"pair-{int(stream)}"
    one.on(error(503, "not now"))
    answer = one.post("Hello", model=model, stream=stream, headers={"x-words": "99", "x-llm-policy-sets": "strict"})
    assert answer.status_code == 200
    for each in (one.one("a"), one.one("b")):
        assert (each.header("x-words"), each.header("x-override")) == ("5", "strict")
        assert each.header("x-llm-policy-sets") is None


def test_headers_reach_the_only_provider(one: Case) -> None:
    assert one.post("Hello you").status_code == 200
    assert (one.one().header("x-words"), one.one().header("x-override")) == ("9", "mild")


def test_a_word_nobody_knows_is_refused(one: Case) -> None:
    answer = one.post("Hello", headers={"x-llm-policy-sets": "harsh"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "policy_override")
    one.nothing_sent()


def test_whole_answers_are_blocked_replaced_and_redacted(one: Case) -> None:
    one.on(*(respond(200, completion(text)) for text in ("MARKER frobozz", "MARKER reply", "a mark here", "fine")))
    with pytest.raises(openai.BadRequestError) as blocked:
        one.chat()
    assert blocked.value.code == "looks"
    assert "MARKER" not in str(blocked.value)
    said = [one.chat().choices[0].message.content for _ in range(3)]
    assert said == ["Said instead.", "a [word] here", "fine"]


def test_a_stream_is_recorded(one: Case) -> None:
    one.on(chunked(200, [event({"content": "frob"}), event({"content": "ozz"}), *events("")[-2:]]))
    got = "".join(each.choices[0].delta.content or "" for each in one.chat(stream=True) if each.choices)
    assert got == "frobozz"
    line = one.log()
    assert {"policy": "looks", "label": "bad", "outcome": "audit", "count": 1} in line["verdicts"]
