"""Placeholders: one for each text, never one that is already there, and back again."""

from hypothesis import given
from hypothesis import strategies as st

from extproc.policy.vault import Vault

EMAIL = ("email", "[email]")


def test_the_same_text_has_the_same_placeholder():
    vault = Vault("")
    found = [vault.replacement(*EMAIL, text) for text in ("a@x.org", "b@x.org", "a@x.org")]
    assert found == ["[email_1]", "[email_2]", "[email_1]"]


def test_types_are_numbered_apart_and_case_tells_texts_apart():
    vault = Vault("")
    assert vault.replacement(*EMAIL, "a@x.org") == "[email_1]"
    assert vault.replacement("phone", "[phone]", "555") == "[phone_1]"
    assert vault.replacement(*EMAIL, "A@x.org") == "[email_2]"


def test_a_placeholder_that_the_request_contains_is_not_used():
    vault = Vault("what is [email_1]? and [email_2]?")
    assert vault.replacement(*EMAIL, "a@x.org") == "[email_3]"


def test_nothing_was_taken_out():
    assert Vault("").policy() is None


def test_own_templates():
    assert Vault("").replacement("card", "<card>", "4") == "<card_1>"
    assert Vault("").replacement("card", "****", "4") == "****_1"


def test_nothing_is_shown():
    vault = Vault("")
    vault.replacement(*EMAIL, "a@secret.example")
    assert "secret" not in repr(vault)


@given(st.lists(st.text(min_size=1, max_size=8), max_size=20), st.text(max_size=40))
def test_placeholders_are_unambiguous(texts, avoid):
    vault = Vault(avoid)
    found = {text: vault.replacement(*EMAIL, text) for text in texts}
    assert len(set(found.values())) == len(found)
    assert not any(placeholder in avoid for placeholder in found.values())
