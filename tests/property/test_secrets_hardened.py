"""Secrets behind the lenses: disguised ones are found, and cuts make no difference, for keys of any length."""

import base64
import random

import pytest

from extproc.guard import Guard, Phase, Scope

CONFIG = "policies: {s: {kind: secrets, match: hardened}, p: {kind: pii}}"


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    path = tmp_path_factory.mktemp("guard") / "extproc.yaml"
    path.write_text(CONFIG)
    return Guard.load(path, environment={})


LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
KEY = "sk-ant-" + "api03-" + "".join(random.Random(3).choices(LETTERS, k=93)) + "AA"
BODY = "\n".join("".join(random.Random(line).choices("ABCDEFabcdef0123456789+/", k=64)) for line in range(60))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"


def spread(text):
    return "\u200b".join(text)


DISGUISED = {
    "plain": KEY,
    "base64": base64.b64encode(f"key: {KEY} end".encode()).decode(),
    "hex": KEY.encode().hex(),
    "percent": "".join(f"%{byte:02X}" for byte in KEY.encode()),
    "entities": "".join(f"&#{ord(char)};" for char in KEY),
    "zero-width": spread(KEY),
    "full width": "".join(chr(ord(char) + 0xFEE0) for char in KEY),
}


@pytest.mark.parametrize("name", DISGUISED)
def test_disguised(guard, name):
    checked = guard.check(f"use {DISGUISED[name]} please")
    assert checked.outcome == "redact"
    assert checked.text.startswith("use [")
    assert checked.text.endswith("] please")


def streamed(guard, text, dice, longest):
    stream = guard.stream()
    out = ""
    while text:
        count = dice.randint(1, longest)
        out += stream.feed(text[:count])
        text = text[count:]
    return out + stream.close()


@pytest.mark.parametrize("longest", [1, 3, 20, 300])
def test_cuts_make_no_difference(guard, longest):
    dice = random.Random(longest)
    parts = [*DISGUISED.values(), PEM, spread(PEM), "hello", "mail a@b.org", "café ", "x" * 50, "%41%zz", "&amp;"]
    for _ in range(12 if longest > 1 else 3):
        text = " ".join(dice.choices(parts, k=dice.randint(1, 4)))
        whole = guard.check(text, phase=Phase.RESPONSE, scope=Scope.ASSISTANT)
        assert streamed(guard, text, dice, longest) == whole.text
        assert KEY not in whole.text
        assert BODY[200:260] not in whole.text


def test_a_long_key_is_one_match_however_it_comes(guard):
    stream = guard.stream()
    out = "".join(map(stream.feed, f"a {PEM} b")) + stream.close()
    assert out == "a [private_key] b"
    assert [row["count"] for row in stream.rows] == [1]
