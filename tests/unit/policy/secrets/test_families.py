"""Families of secrets: what is one, what only looks like one, and what of it is redacted."""

import random
import re

import pytest

from extproc.policy.kinds.base import Context
from extproc.policy.kinds.secrets import Secrets
from extproc.policy.pattern import parse
from extproc.policy.scanner import Scanner, apply
from extproc.policy.secrets import GROUPS, NAMES, choose, families
from tests.detect import made
from tests.support import edits

EVERY = list(made.every(7))


def scanner(**changes):
    policy = Secrets.model_validate({"kind": "secrets", **changes}).compile("secrets", Context())
    return Scanner(tuple((policy, rule) for rule in policy.rules))


ALL = scanner()


def redacted(text, scan=ALL):
    return apply(edits(scan, scan.scan(text), len(text)), text)


def found(text, scan=ALL):
    return {scan.rule(match).label for match in scan.scan(text)}


def test_names_are_unique_and_groups_are_no_families():
    names = [family.name for family in families()]
    assert len(names) == len(set(names)) >= 100
    assert not set(GROUPS) & set(names)
    assert set(NAMES) == {"all", *GROUPS, *names}
    assert all(family.about and family.shapes for family in families())


def test_every_opener_is_telling_and_every_body_bounded():
    for family in families():
        for shape in family.shapes:
            opener = parse(shape.opener)
            assert opener.width >= 2, family.name
            assert shape.bounded.width <= 1600, family.name
            assert not (shape.lead and shape.more), "a match that goes on must be the whole candidate"


@pytest.mark.parametrize(("family", "text"), EVERY, ids=[f"{family}-{at}" for at, (family, _) in enumerate(EVERY)])
def test_a_secret_is_found_in_prose_code_and_at_the_edges(family, text):
    for around in ("{}", "Use this: {} please.", "é\n{}\n", 'x = """{}"""'):
        if around != "{}" and "\n" in text and '"""' in around:
            continue
        assert family in found(around.replace("{}", text)), around
    words = text.replace('"', " ").replace("'", " ").replace("=", " ").split()
    long = max((word for word in words if any(map(str.isdigit, word))), key=len, default="-----")
    if family not in ("connection_string", "basic_auth_url", "private_key"):
        assert long not in redacted(f"Use this: {text} please.")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("postgres://app:{}@db:5432/x", "postgres://app:[connection_string]@db:5432/x"),
        ("https://ann:{}@h.example/x?y=z", "https://ann:[basic_auth_url]@h.example/x?y=z"),
        ("DB_PASSWORD='{}';", "DB_PASSWORD='[password]';"),
        ('{"password": "{}", "user": "ann"}', '{"password": "[password]", "user": "ann"}'),
        ("Server=h;Uid=u;Pwd={};Encrypt=yes", "Server=h;Uid=u;Pwd=[connection_string];Encrypt=yes"),
        ("X-Api-Key: {}\r\nHost: h", "X-Api-Key: [secret]\r\nHost: h"),
        ("Authorization: Bearer {}\n", "Authorization: Bearer [authorization]\n"),
        ("my password is {}\nthanks", "my password is [password]\nthanks"),
        ("DATADOG_API_KEY={}", "DATADOG_API_KEY=[datadog]"),
        ("密码：{}", "密码：[password]"),
    ],
)
def test_what_says_that_a_secret_follows_stays(text, wanted):
    secret = made.made("{x16}{x16}", random.Random(5))
    assert redacted(text.replace("{}", secret)) == wanted


NEAR = [
    "a task-oriented sk-learn-like approach", "sk-chasing-dots-loader-spinner-child",
    "sk-your-api-key-goes-here-please", "ghp_" + "x" * 36, "ghp_short1", "AKIA123", "akia" + "z" * 16,
    "glpat-" + "x" * 20, "npm_config_registry", "hf_hub_download", "xoxb-your-token", "SG.something.else",
    "eyJhbGciOi", "pk_live_" + "a1B2" * 6, "pypi-AgEIcHlwaS5vcmc", "AIzaSy", "password", "password:", "password = ",
    "password: required", '"password": "string"', "password = os.environ['DB_PASSWORD1']", "password = ${DB_PASSWORD}",
    "password = getpass.getpass()", "password: <your password>", "password=xxxxxxxx", "password: ********",
    "password = 'changeme123'", "password is incorrect", "your password is too short", "password reset",
    "the password was forgotten", "PASSWORD_HASHERS = ['django.x.PBKDF2']", "max_tokens: 4096",
    "token = get_token(user1)", "tokens: 1234567890123456", "api_key=process.env.OPENAI_API_KEY_V1",
    "api_key: {{ secrets.API_KEY_1 }}", "secret santa 2024", "token_type: bearer",
    "token = tokenizer_config_v2_final_1", "key: value", "primary_key=True", "the key is under the mat", "api key",
    "public_key: id", "token: 123e4567-e89b-12d3-a456-426614174000", "http://localhost:5000/<%= @x %>",
    "https://example.com:8443/a@b", "a://b:c", "https://user:{password}@h", "https://user:${PASS}@h",
    "postgres://localhost:5432/db", "Authorization: Bearer <token>", "Authorization: Bearer $TOKEN",
    "bearer of bad news", "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0BAQ\n",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQ\n", "The header is -----BEGIN PRIVATE KEY----- and then text.",
    "d41d8cd98f00b204e9800998ecf8427e", "commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "sha256:" + "ab12" * 16,
    "AC" + "X" * 32, "2024-01-15T10:30:00Z", "dapi-docs", "dp.example.com", "hvs.io", "re_compile_pattern", "fig_size",
    "1//0", "Private-Lines: 3", "APARTMENTBUILDING2", "AP2024RESULTS", "APActivationPayload",
    "arn:aws:sns:aaa:111122223333:topic", "12:AAB", "//a/:_authToken=", "VISIT OKTA 00 TIMES", "shpat_", "whsec_test",
    "sq0idp", "lin_api", "secret_name: my-secret", "aws_secret_access_key = <secret>",
]  # fmt: skip


@pytest.mark.parametrize("text", NEAR)
def test_what_only_looks_like_a_secret_is_left_alone(text):
    assert found(text) == set()
    assert found(f"He said: {text} - and left.") == set()


PREFIXES = [
    (family, prefix)
    for family, templates in made.TEMPLATES.items()
    for prefix in (template.replace("|", "").partition("{")[0] for template in templates)
    if re.fullmatch(r"[\w.$/-]{2,}", prefix)
]


@pytest.mark.parametrize(("family", "prefix"), PREFIXES)
def test_placeholders_in_the_shape_of_a_key_are_no_secrets(family, prefix):
    for length in (16, 20, 24, 32, 36, 40, 48, 64, 100):
        key = prefix + "x" * length
        exempt = family == "artifactory" or (
            family == "twilio" and length == 32
        )  # lower-case letters, whatever they say
        assert exempt or found(f"Write {key} here") == set(), key


def test_a_private_key_of_any_length_goes_whole():
    dice = random.Random(6)
    for size in (100, 1200, 8192, 20000):
        for line in ("\n", "\r\n", "\\n", " ", "\n    "):
            key = made.private_key(dice, size, line=line)
            assert redacted(f"Key: {key}{line}Why?") == f"Key: [private_key]{line}Why?"


def test_a_private_key_without_an_end_stops_at_an_empty_line():
    key = made.private_key(random.Random(7)).rpartition("\n")[0]
    assert redacted(f"{key}\n\nWhat is wrong with it?") == "[private_key]\nWhat is wrong with it?"
    assert redacted(f"{key} (cut) Why?") == "[private_key](cut) Why?"


def test_encrypted_and_armoured_keys_have_headers():
    dice = random.Random(8)
    first, rest = made.private_key(dice).split("\n", 1)
    for headers in (
        "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\n",
        "Version: GnuPG v2\nComment: none of it\n\n",
    ):
        assert redacted(f"{first}\n{headers}{rest}\nend") == "[private_key]\nend"


def test_a_putty_key_is_found_by_its_private_lines():
    body = made.made("{b64}", random.Random(9))
    assert redacted(f"Private-Lines: 2\n{body}\n{body}\n\nx") == "[private_key]\nx"


def test_long_tokens_go_whole():
    dice = random.Random(10)
    token = made.jwt(dice, payload=b'{"x":"' + b"a1" * 4000 + b'"}')
    assert redacted(f"see {token} ok") == "see [jwt] ok"
    assert redacted(f"Bearer {token} ok") == "Bearer [authorization] ok"


def test_groups_families_and_exceptions_choose():
    assert {family.group for family in choose(["llm", "cloud"], [])} == {"llm", "cloud"}
    assert [family.name for family in choose(["github", "stripe"], ["stripe"])] == ["github"]
    assert {family.name for family in choose(["all"], ["generic"])} == {f.name for f in families()} - {
        "password",
        "secret",
    }
    assert choose(["vcs"], ["vcs"]) == []
    token = made.made("gh|p_{A30}{C}", random.Random(11))
    assert found(token, scanner(find=["github"])) == {"github"}
    assert found(token, scanner(**{"except": ["vcs"]})) == set()
    assert found(token, scanner(find="vcs")) == {"github"}
