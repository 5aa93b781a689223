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


def test_a_placeholder_that_the_request_has_in_another_case_is_not_used():
    assert Vault("what is [EMAIL_1]?").replacement(*EMAIL, "a@x.org") == "[email_2]"


def test_a_number_that_begins_a_longer_one_is_not_used():
    assert Vault("****_12").replacement("card", "****", "4") == "****_2"


def test_the_request_is_looked_at_once_however_much_is_taken_out():
    looked = []

    class Watched(str):
        def lower(self):
            return self

        def __contains__(self, part):
            looked.append(part)
            return super().__contains__(part)

    vault = Vault(Watched("[email_7]"))
    found = {vault.replacement(*EMAIL, f"{number}@x.org") for number in range(3000)}
    assert len(found) == 3000
    assert "[email_7]" not in found
    assert looked == []


def test_hiding_takes_the_longest_original_first():
    vault = Vault("")
    for text in ("a@x.org", "a@x.org.uk"):
        vault.replacement(*EMAIL, text)
    assert vault.hide("to a@x.org.uk, a@x.org") == "to [email_2], [email_1]"


def test_hiding_knows_originals_in_json_source():
    vault = Vault("")
    vault.replacement("name", "[name]", 'the "old"\nman')
    assert vault.hide('{"to": "the \\"old\\"\\nman"}') == '{"to": "[name_1]"}'


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
