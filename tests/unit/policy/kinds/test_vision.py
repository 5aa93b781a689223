"""Pictures, files, sound and films in every format."""

import pytest

from extproc.errors import LimitExceeded
from extproc.policy.parts import MAX_NODES
from tests.unit.policy.kinds.support import refused, said

DATA = "data:image/png;base64,AAAA"
URL = "https://example.com/x.png"
INSIDE = [
    ("image", {"type": "image_url", "image_url": {"url": DATA}}),
    ("image", {"type": "image_url", "image_url": DATA}),
    ("image", {"type": "input_image", "image_url": DATA}),
    ("image", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}),
    ("image", {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
    ("image", {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}),
    ("image", {"image": {"format": "png", "source": {"bytes": "AAAA"}}}),
    ("image", {"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": "AAAA"}}]}),
    ("image", {"toolResult": {"content": [{"image": {"format": "png", "source": {"bytes": "AAAA"}}}]}}),
    ("image", {"type": "something_new", "something_new": {"payload": DATA}}),
    ("audio", {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    ("audio", {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}}),
    ("video", {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}}),
    ("file", {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "x"}}),
    ("file", {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA"}),
    ("file", {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}),
    ("file", {"document": {"format": "pdf", "name": "x", "source": {"bytes": "AAAA"}}}),
]
ELSEWHERE = [
    ("image", {"type": "image_url", "image_url": {"url": URL}}),
    ("image", {"type": "image_url", "image_url": URL}),
    ("image", {"image_url": {"url": " HTTPS://example.com/x"}}),
    ("image", {"type": "image_url", "image_url": {"url": "//example.com/x"}}),
    ("image", {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
    ("image", {"type": "input_image", "file_id": "file-1", "detail": "low"}),
    ("image", {"type": "image", "source": {"type": "url", "url": URL}}),
    ("image", {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
    ("image", {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/x"}}),
    ("image", {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/x"}}}}),
    ("file", {"type": "file", "file": {"file_id": "file-1"}}),
    ("file", {"type": "input_file", "file_url": URL}),
    ("file", {"type": "document", "source": {"type": "url", "url": URL}}),
    ("video", {"type": "video_url", "video_url": {"url": URL}}),
]
EVERY = ["image", "file", "audio", "video"]


def bodies(part):
    yield said([{"type": "text", "text": "look"}, part])
    yield {"input": [{"role": "user", "content": [part]}]}
    yield {"contents": [{"parts": [part]}]}
    yield {"contents": {"parts": part}}
    yield {"system": [part]}
    yield {"messages": [{"role": "tool", "content": [[part]]}]}


@pytest.mark.parametrize(("medium", "part"), INSIDE + ELSEWHERE)
def test_what_is_not_allowed_is_refused_in_every_format(medium, part):
    for body in bodies(part):
        label = refused({"kind": "vision"}, body)
        assert label in (medium, "file")  # a stored picture is a stored file
        allowed = [each for each in EVERY if each != medium]
        if label == medium:
            assert refused({"kind": "vision", "allow": allowed}, body) == medium
        assert refused({"kind": "vision", "allow": EVERY}, body) is None


@pytest.mark.parametrize(("medium", "part"), INSIDE)
def test_what_is_in_the_request_itself_is_not_remote(medium, part):
    for body in bodies(part):
        assert refused({"kind": "vision", "allow": EVERY, "remote": "deny"}, body) is None


@pytest.mark.parametrize(("medium", "part"), ELSEWHERE)
def test_what_is_elsewhere_is_remote(medium, part):
    for body in bodies(part):
        assert refused({"kind": "vision", "allow": EVERY, "remote": "deny"}, body) == "remote"


@pytest.mark.parametrize(
    "body",
    [
        said("look at " + DATA, [{"type": "text", "text": DATA}]),
        said([{"type": "tool_use", "name": "draw", "input": {"image": "cat", "file": "x.png"}}]),
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": {"image": "cat"}}}]}]},
        {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"file": "cat"}}}]}]},
        {"messages": [{"content": [{"toolUse": {"name": "f", "input": {"image": "cat"}}}]}]},
        {"messages": [], "audio": {"voice": "alloy", "format": "wav"}, "modalities": ["text", "audio"]},
        {"messages": [], "tools": [{"type": "function", "function": {"name": "image", "parameters": {"image": {}}}}]},
        {"messages": [], "metadata": {"image": "x"}},
        said([{"type": "thinking", "thinking": "image", "signature": "AAAA"}]),
        said(None, []),
    ],
)
def test_what_only_speaks_of_pictures_is_none(body):
    assert refused({"kind": "vision", "remote": "deny"}, body) is None


def test_there_is_a_bound():
    with pytest.raises(LimitExceeded):
        refused({"kind": "vision"}, {"x": [[]] * (MAX_NODES + 1)})
    assert refused({"kind": "vision"}, {"input": [1] * (MAX_NODES + 1)}) is None


def test_pictures_to_be_changed_count():
    assert refused({"kind": "vision"}, {"prompt": "x", "other": ["x", DATA]}) == "image"
    assert refused({"kind": "vision"}, {"prompt": "x", "image": DATA}) == "image"
    assert refused({"kind": "vision"}, {"prompt": "x", "image": {"url": URL}}) == "image"
    assert refused({"kind": "vision"}, {"messages": [{"content": "x", "images": ["AAAA"]}]}) == "image"
    assert (
        refused({"kind": "vision"}, {"prompt": {"variables": {"x": {"type": "input_image", "image_url": URL}}}})
        == "image"
    )


def upload(content_type, filename="x"):
    """A file of a form, as ``multipart.Form.value`` has it."""
    return {"filename": filename, "content_type": content_type}


@pytest.mark.parametrize(
    ("medium", "body"),
    [
        ("image", {"prompt": "x", "image": upload("image/png")}),
        ("image", {"prompt": "x", "image": [upload("audio/wav"), upload("")]}),
        ("image", {"prompt": "x", "mask": upload("application/octet-stream")}),
        ("image", {"prompt": "x", "markup": upload("image/png")}),
        ("audio", {"file": upload("audio/wav")}),
        ("video", {"file": upload("video/mp4", "https://x")}),
        ("file", {"file": upload("application/octet-stream")}),
        ("file", {"file": upload("image/png")}),
        ("file", {"file": upload("")}),
    ],
)
def test_files_of_forms(medium, body):
    assert refused({"kind": "vision"}, body) == medium
    assert refused({"kind": "vision", "allow": [each for each in EVERY if each != medium]}, body) == medium
    assert refused({"kind": "vision", "allow": [medium], "remote": "deny"}, body) is None


def test_pictures_of_forms_are_counted():
    body = {"prompt": "x", "image": [upload("image/png")] * 2, "mask": upload("image/png"), "n": 2}
    assert refused({"kind": "caps", "max_images": 2}, body) == "images"
    assert refused({"kind": "caps", "max_images": 3, "max_choices": 2}, body) is None
    assert refused({"kind": "caps", "max_choices": 1}, body) == "choices"
