"""What models are known not to take: names as hosts spell them, and nothing said of those nobody knows."""

import pytest

from extproc.providers.known import KNOWN
from extproc.providers.models import _TABLE, ABILITIES, OWN_NAMES, lacking


@pytest.mark.parametrize(
    ("model", "lacks", "has"),
    [
        ("gpt-3.5-turbo-0125", {"image", "file"}, {"tools"}),
        ("ft:gpt-3.5-turbo-0125:org::id", {"image"}, {"tools"}),
        ("GPT-4", {"image"}, {"tools"}),
        ("gpt-4-turbo-2024-04-09", {"audio"}, {"image", "tools"}),
        ("gpt-4o", {"audio", "video"}, {"image", "file", "tools"}),
        ("gpt-4o-audio-preview-2024-12-17", {"image"}, {"audio"}),
        ("openai/gpt-oss-120b", {"image"}, {"tools", "reasoning"}),
        ("openai.gpt-oss-20b-1:0", {"image"}, {"tools", "reasoning"}),
        ("o1-mini-2024-09-12", {"tools", "image"}, set()),
        ("o3-mini", {"image"}, {"tools", "reasoning"}),
        ("claude-3-5-sonnet-20241022", {"audio", "reasoning"}, {"image", "file", "tools"}),
        ("claude-sonnet-4-5", {"audio"}, {"image", "file", "tools", "reasoning"}),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", {"reasoning"}, {"image", "tools"}),
        ("anthropic.claude-v2:1", {"image", "tools"}, {"file"}),
        ("claude-3-opus@20240229", {"reasoning"}, {"image"}),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama3-3-70b-instruct-v1:0", {"image"}, {"tools"}),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", set(), set(ABILITIES)),
        ("meta.llama3-70b-instruct-v1:0", {"image", "tools"}, {"file"}),
        ("meta.llama3-2-90b-instruct-v1:0", set(), set(ABILITIES)),
        ("amazon.nova-micro-v1:0", {"image"}, {"tools", "file"}),
        ("amazon.nova-pro-v1:0", set(), set(ABILITIES)),
        ("gemini-2.0-flash-001", {"reasoning"}, {"image", "audio", "video", "file", "tools"}),
        ("gemini-2.0-flash-thinking-exp", set(), set(ABILITIES)),
        ("mistral-large-2411", {"image"}, {"tools"}),
        ("mistral-large-latest", set(), set(ABILITIES)),
        ("deepseek-reasoner", {"image"}, {"reasoning"}),
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo", {"image"}, {"tools"}),
        ("", set(), set(ABILITIES)),
        ("nobody-knows-this", set(), set(ABILITIES)),
        ("not-gpt-3.5-turbo", set(), set(ABILITIES)),
        ("a\ngpt-4", set(), set(ABILITIES)),
    ],
)
def test_what_a_model_lacks(model, lacks, has):
    assert lacks <= lacking(model)
    assert not has & lacking(model)


def test_the_table_has_no_other_words():
    assert all(lacks <= set(ABILITIES) for lacks in _TABLE.values())
    assert all(name == name.lower() and "*" not in name[:-1] for name in _TABLE)
    assert {*KNOWN, "openai-compatible"} >= OWN_NAMES
