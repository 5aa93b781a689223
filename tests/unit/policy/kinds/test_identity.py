"""Who may ask."""

import pytest

from tests.unit.policy.kinds.support import refused

REQUIRE = {"kind": "identity", "require_user": True}
BANNED = {"kind": "identity", "banned": ["mallory", "eve-*"]}
ORIGINS = {"kind": "identity", "origins": ["bad.example", "https://worse.example/x"]}


@pytest.mark.parametrize("body", [{"user": "u"}, {"safety_identifier": "u"}, {"metadata": {"user_id": "u"}}])
def test_a_named_user_is_enough(body):
    assert refused(REQUIRE, body) is None


ODD = ("", " ", None, 0, 5, True, [], ["u"], {}, {"id": "u"}, "\u200b", "\ufeff\u2060 ", "\u0000")


@pytest.mark.parametrize(
    "body",
    [{}, *({"user": odd} for odd in ODD),
     {"User": "u"}, {"metadata": {"user": "u"}}, {"metadata": "u"}, {"messages": [{"role": "user", "user": "u"}]}],
)  # fmt: skip
def test_what_names_nobody_is_refused(body):
    assert refused(REQUIRE, body) == "no_user"


@pytest.mark.parametrize(
    "name", ["mallory", "MALLORY", " mallory\n", "mal\u200blory", "ｍａｌｌｏｒｙ", "eve-1", "Eve-"]
)
def test_banned_users_in_every_field(name):
    for body in (
        {"user": name},
        {"user": "good", "safety_identifier": name},
        {"metadata": {"user_id": name}, "user": "good"},
        {"userId": name},
        {"extra_body": {"user": name}},
    ):
        assert refused(BANNED, body) == "banned"


def test_others_are_not_banned():
    assert refused(BANNED, {"user": "eve"}) is None
    assert refused(BANNED, {"user": "mallory2"}) is None
    assert refused(BANNED, {}) is None
    assert refused(BANNED, {"messages": [{"role": "user", "content": "mallory"}]}) is None
    assert refused({"kind": "identity", "banned": "17"}, {"user": 17}) == "banned"


@pytest.mark.parametrize("odd", [["mallory"], {"id": "mallory"}, 1.5])
def test_a_user_that_cannot_be_read_is_refused(odd):
    assert refused(BANNED, {"user": odd}) == "unreadable"


@pytest.mark.parametrize(
    ("value", "bad"),
    [
        ("https://bad.example", True),
        ("HTTPS://BAD.EXAMPLE:8443", True),
        ("https://www.bad.example.", True),
        ("https://good.example@bad.example/x", True),
        ("bad.example", True),
        ("https://worse.example", True),
        ("https://notbad.example", False),
        ("https://bad.example.com", False),
        ("https://good.example/?bad.example", False),
        ("null", False),
        ("", False),
        ("https://[bad", False),
    ],
)
def test_origins_and_referers_by_host(value, bad):
    for header in ("origin", "referer"):
        assert refused(ORIGINS, {}, headers={header: value}) == ("origin" if bad else None)


ADDRESSES = {"kind": "identity", "allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": "10.1.0.0/16"}


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "10.255.0.1", "::ffff:10.0.0.1", "2001:db8::1", "[2001:db8::1]", "2001:db8::1%eth0"]
)
def test_addresses_that_may(address):
    assert refused(ADDRESSES, {}, address=address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "10.1.0.1",
        "::ffff:10.1.0.1",
        "::ffff:a01:1",
        "11.0.0.1",
        "2001:db9::1",
        "x",
        "10.0.0",
        "010.0.0.1",
        "10.0.0.1:80",
    ],
)
def test_addresses_that_may_not(address):
    assert refused(ADDRESSES, {}, address=address) == "address"


def test_an_address_that_is_unknown_is_among_the_denied():
    deny = {"kind": "identity", "deny": ["::ffff:10.0.0.0/104"]}
    assert refused(deny, {}, address="") == "address"
    assert refused(deny, {}, address="10.2.3.4") == "address"
    assert refused(deny, {}, address="11.2.3.4") is None
    assert refused({"kind": "identity", "deny": "0.0.0.0/0"}, {}, address="::1") is None
