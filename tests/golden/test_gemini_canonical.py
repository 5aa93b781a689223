"""Gemini's codec on conversations drawn at random: what is written is read as it was, or told as lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.answer import Answer, Choice, Finish, PartDelta, PartStart, Usage
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Media, Message, Native, Reasoning, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice
from tests.golden.gemini import CODEC, PATIENT, bare, decoded, joined, payloads

CONTEXT = Context("r1", "m", 17)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
SIGNED = st.from_regex(r"([A-Za-z0-9+/]{4}){2,4}", fullmatch=True)
ARGUMENTS = st.dictionaries(NAMES, st.none() | st.booleans() | st.integers(-9, 9) | WORDS | st.lists(WORDS, max_size=2))
PICTURE = Media("image", data="QUJD", type="image/png")


@st.composite
def calls(draw):
    signature = draw(st.just("") | SIGNED)
    arguments = json.dumps(draw(ARGUMENTS), ensure_ascii=False, separators=(",", ":"))
    return ToolCall(draw(NAMES), draw(NAMES), arguments, signature=signature, maker="gemini" if signature else "")


THOUGHTS = st.builds(Reasoning, WORDS, signature=st.just("") | SIGNED, maker=st.just("gemini"), summary=st.just(True))
SIGNS = st.builds(Reasoning, st.just(""), signature=SIGNED, maker=st.just("gemini"))
NATIVES = st.sampled_from([Native("gemini", {"executableCode": {"language": "PYTHON", "code": "1"}})])
SAID = THOUGHTS | st.builds(Text, WORDS) | calls() | SIGNS | NATIVES | st.just(PICTURE)


@st.composite
def parts(draw):
    """What a model said; neighbours that would go on with one another are left out, as would a second use of an id."""
    found, ids = [], set()
    for part in draw(st.lists(SAID, max_size=6)):
        last = found[-1] if found else None
        goes_on = type(part) is type(last) and isinstance(part, Text | Reasoning) and not getattr(last, "signature", "")
        if goes_on or getattr(part, "id", None) in ids:
            continue
        ids |= {part.id} if isinstance(part, ToolCall) else set()
        found.append(part)
    return found


@st.composite
def answers(draw):
    choices = []
    for index in range(draw(st.integers(1, 3))):
        said = draw(parts())
        called = any(isinstance(part, ToolCall) for part in said)
        ends = [Finish.LENGTH, Finish.FILTER, Finish.OTHER, Finish.TOOLS if called else Finish.STOP]
        choices.append(Choice(index, said, draw(st.sampled_from(ends))))
    counts = st.integers(0, 99)
    used = Usage(draw(counts) + 99, draw(counts) + 99, draw(counts), draw(counts), 0, draw(counts), draw(counts))
    return Answer(draw(NAMES), draw(NAMES), draw(st.integers(1, 2**31)), choices, used)


@PATIENT
@given(answers())
def test_answers_come_back(answer):
    losses = Losses()
    written = CODEC.encode_answer(answer, CONTEXT, losses)
    assert not losses.found
    assert bare(CODEC.decode_answer(json.loads(json.dumps(written)))) == answer


def cut(draw, event):
    """A delta in several."""
    if not isinstance(event, PartDelta) or len(event.text) < 2 or event.signature:
        return [event]
    at = draw.draw(st.integers(1, len(event.text) - 1))
    return [
        PartDelta(event.choice, event.number, event.text[:at]),
        PartDelta(event.choice, event.number, event.text[at:]),
    ]


@PATIENT
@given(answers(), st.data())
def test_streams_come_back(answer, draw):
    events = [each for event in unfold(answer) for each in cut(draw, event)]
    losses = Losses()
    encoder = CODEC.encoder(CONTEXT, losses)
    raw = b"".join([encoder.encode(event) for event in events] + [encoder.close()])
    assert not losses.found
    found = decoded(payloads([raw]))
    assert bare(fold(found)) == answer
    wanted, came = joined(events), joined(found)
    shape = [each for each in wanted if isinstance(each, PartStart)]
    assert [(each.choice, each.number) for each in came if isinstance(each, PartStart)] == [
        (each.choice, each.number) for each in shape
    ]


# requests


@st.composite
def requests(draw):
    messages = [Message("system", [Text(draw(WORDS))])] if draw(st.booleans()) else []
    for number in range(draw(st.integers(0, 2))):
        messages.append(Message("user", [Text(draw(WORDS)), *draw(st.sampled_from([[], [PICTURE]]))]))
        said = draw(parts()) or [Text("a")]
        for part in said:
            if isinstance(part, ToolCall):
                part.id += f"-{number}"
        messages.append(Message("assistant", said))
        called = [part for part in said if isinstance(part, ToolCall)]
        results = [ToolResult(call.id, [Text(draw(WORDS))], call.name, failed=draw(st.booleans())) for call in called]
        if results:
            messages += [Message("user", results), Message("assistant", [Text("b")])]
    messages.append(Message("user", [Text(draw(WORDS))]))
    offered = [Tool(name, draw(WORDS), {"type": "object"}) for name in draw(st.lists(NAMES, unique=True, max_size=2))]
    named = (offered[0].name,) if offered else ()
    chosen = [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")]
    chosen += [ToolChoice("named", named), ToolChoice("auto", named)] if offered else []
    number = st.none() | st.integers(1, 8)
    return Request(
        draw(st.sampled_from(["gemini-2.5-pro", "gemini-3-flash-preview"])),
        messages,
        offered,
        draw(st.sampled_from(chosen)) if offered else None,
        Settings(
            max_output=draw(number), temperature=draw(st.none() | st.floats(0, 2)), top_p=draw(st.none() | st.floats(0, 1)),
            top_k=draw(number), stop=draw(st.lists(WORDS, max_size=5)), seed=draw(number), choices=draw(number),
            frequency_penalty=draw(st.none() | st.floats(-2, 2)), logprobs=draw(st.none() | st.integers(0, 20)),
            modalities=draw(st.sampled_from([[], ["text"], ["text", "image"]])),
        ),
        draw(st.sampled_from([None, OutputShape(), OutputShape({"type": "object"})])),
        draw(st.sampled_from([None, Thinking(budget=1024), Thinking(show=True), Thinking(budget=-1, show=False)])),
        draw(st.booleans()),
    )  # fmt: skip


@PATIENT
@given(requests())
def test_requests_come_back(request):
    losses = Losses()
    body = json.loads(json.dumps(CODEC.encode_request(request, losses)))
    assert not losses.found
    request.usage = request.stream
    again = CODEC.decode_request(body, losses, model=request.model, stream=request.stream)
    assert not losses.found
    stand_in = "skip_thought_signature_validator"
    for message in again.messages:
        for part in message.parts:
            if isinstance(part, ToolCall) and part.signature == stand_in:
                assert request.model.startswith("gemini-3")
                part.signature = part.maker = ""
    assert bare(again) == bare(merged(request))


def merged(request):
    """Results of one call are read as the tool wrote them; a result that is a JSON object loses its white space only."""
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolResult) and not part.failed:
                try:
                    value = json.loads(part.parts[0].text)
                except ValueError:
                    continue
                if isinstance(value, dict) and not value:
                    part.parts[0].text = "{}"
    return request
