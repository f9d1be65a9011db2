"""E-mail addresses: when two are one."""

import time

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


@pytest.mark.parametrize(
    "pasted",
    [
        "Mara <mara@acme.example>;",
        '"Okafor, Mara" <mara@acme.example>,',
        "Mara Okafor <MARA@acme.example>",
        "<mara@acme.example>",
        "mailto:mara@acme.example",
        "MAILTO:mara%40acme.example?subject=Hello",
        "Mara <mailto:mara@acme.example>",
        "mara@acme.example;",
        "mara@acme.example, ",
        "mara@acme.example.",
        "'mara@acme.example'",
        "(mara@acme.example)",
        "\u200bmara@acme.example\u200b",
        "\ufeffmara@acme.example",
        "\u202amara@acme.example\u202c",
        "mara@acme.example\u00a0",
        "mara@\u00adacme.example",
        "ｍａｒａ＠ａｃｍｅ．ｅｘａｍｐｌｅ",
        "ｍａｒａ@acme.example",
        "Okafor, Mara [mailto:mara@acme.example]",
        "Mara Okafor [mara@acme.example]",
        "mara@acme.example (Mara Okafor)",
        "<mailto:mara@acme.example|mara@acme.example>",
        "mara@acme.example<mailto:mara@acme.example>",
        "SMTP:mara@acme.example",
        "E-Mail: mara@acme.example",
        "mailto://mara@acme.example",
        "mailto:///mara@acme.example?subject=Hello",
        "«mara@acme.example»",
        "« mara@acme.example »",
        "»mara@acme.example«",
        "‹mara@acme.example›",
        "„mara@acme.example“",
        "‚mara@acme.example‘",
        "「mara@acme.example」",
        "`mara@acme.example`",
        "[mara@acme.example](mailto:mara@acme.example)",
        "[Mara (Acme)](mailto:mara@acme.example)",
        "[mara@acme.example](mara@acme.example)",
        "<mara@acme.example",
        "mara@acme.example>",
        "mara @ acme.example",
        "mara\u00a0@acme.example",
    ],
)
def test_what_was_pasted_around_an_address_is_left_out(pasted):
    assert parse_email(pasted).key == "mara@acme.example"


@pytest.mark.parametrize(
    "address",
    ["admin@corp.local", "admin@localhost", "root@db.localhost", "a@nas.home.arpa", "a@b.test",
     "admin@mail.internal", "mara+portal@acme.example", "o'neil@acme.example", "x_y@acme.example",
     "jörg@acme.example", "用户@例子.广告"],
)  # fmt: skip
def test_addresses_of_every_network_and_script_are_addresses(address):
    assert parse_email(address).shown == address


def test_a_domain_is_one_in_both_of_its_spellings():
    assert parse_email("i@bücher.example").key == parse_email("i@xn--bcher-kva.example").key


def test_joiners_are_part_of_a_domain_where_its_script_has_them():
    persian = parse_email("i@نامه\u200cای.com")
    assert persian.shown == "i@نامه\u200cای.com"
    assert persian.key == parse_email("i@XN--mgba3gch31f060k.com").key
    assert persian.key != parse_email("i@نامهای.com").key
    with pytest.raises(InvalidEmail):
        parse_email("i@ac\u200cme.example")


def test_accents_are_one_however_composed():
    assert parse_email("zoe\u0308@acme.example").key == parse_email("zo\u00eb@acme.example").key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a@",
        "@b",
        "a@b",
        "a b@c.example",
        "A b@c.example (C)",
        "a@x.example (b@y.example)",
        "a@x.example|b@y.example",
        "a@1.2.3.4",
        "a@[10.0.0.5]",
        "a@b.invalid",
        "mara@acme@b.example",
        "test@test",
        "a@local",
        "a@x.example; b@y.example",
        "A <a@x.example> B <b@y.example>",
        "<>",
        "mailto:",
        "[Mara](https://acme.example)",
        "[a@x.example](mailto:b@y.example",
        "a@-b.local",
        "@localhost",
        "a@c.example\n",
        "a\ud800@c.example",
    ],
)
def test_what_is_no_address_is_refused(text):
    if text.endswith("\n"):
        assert parse_email(text).shown == text.strip()
        return
    with pytest.raises(InvalidEmail):
        parse_email(text)


@pytest.mark.attack("D1")
@pytest.mark.parametrize("head", ["<", "[", "a@b (", "'", "mailto:", "a", ""])
@pytest.mark.parametrize("body", [" ", "\u00a0", "<", "(", "a ", "] [", "\u0301", "."])
def test_nothing_that_is_typed_takes_long_to_read(head, body):
    """Before a log-in: patterns that try each way to split spaces took half a minute."""
    text = (head + body * 1000)[:999] + "x"
    begun = time.thread_time()
    with pytest.raises(InvalidEmail):
        parse_email(text)
    assert time.thread_time() - begun < 0.2
