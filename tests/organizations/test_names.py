"""What organizations may be called, and what their names become."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.display_names import InvalidName
from portal.organizations.lifecycle.errors import InvalidSlug
from portal.organizations.lifecycle.names import RESERVED, OrganizationName, parse_name, slug_of

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
names = st.one_of(st.text(max_size=100), st.from_regex(r"[\w .,'&()+#!/:@-]{2,80}", fullmatch=True))


def accepted(text):
    try:
        return parse_name(text).shown
    except InvalidName:
        return None


@given(names, names)
def test_two_names_have_one_slug_exactly_if_they_have_one_collection(one, other):
    one, other = accepted(one), accepted(other)
    if one is None or other is None:
        return
    same_collection = parse_name(one).collection == parse_name(other).collection
    assert (slug_of(one) == slug_of(other)) == same_collection


@given(names)
def test_a_slug_stays_within_its_alphabet_and_length(text):
    name = accepted(text)
    if name is None:
        return
    slug = slug_of(name)
    assert SLUG.fullmatch(slug)
    assert len(slug) <= 63
    assert slug not in RESERVED
    assert re.fullmatch(r"org_[a-z0-9_]+", OrganizationName(name, slug).collection)


@given(names)
def test_cleaning_a_name_again_changes_nothing(text):
    name = accepted(text)
    if name is None:
        return
    assert parse_name(name).shown == name
    assert parse_name(name).slug == slug_of(name)


@given(names)
def test_composition_and_spaces_make_no_other_name(text):
    name = accepted(text)
    if name is None:
        return
    assert accepted(unicodedata.normalize("NFD", name)) == name
    assert accepted(f"  {name.replace(' ', '   ')} ") == name


@pytest.mark.parametrize(
    "spelling", ["a b", "a_b", "A-B", "Ａ Ｂ", "a  b", " a b ", "á b", "a. b", "a/b"]
)
def test_spellings_of_one_slug_are_one_name(spelling):
    assert parse_name(spelling).slug == "a-b"


@pytest.mark.parametrize("spelling", ["O'Neil", "O’Neil", "O`Neil", "OʼNeil", "O´Neil"])
def test_apostrophes_are_one_character(spelling):
    assert parse_name(spelling).shown == "O’Neil"
    assert parse_name(spelling).slug == "oneil"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Łódź Print House", "lodz-print-house"),
        ("Müller & Söhne GmbH", "muller-sohne-gmbh"),
        ("日本 (Tokyo) #1", "ri-ben-tokyo-1"),
        ("..admin..", "admin"),
        ("a " * 39 + "b", ("a-" * 32).rstrip("-")),
        ("x" * 80, "x" * 63),
    ],
)
def test_a_slug_says_the_name_in_ascii(name, slug):
    assert parse_name(name).slug == slug


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a",
        "a" * 81,
        "a" * 10_000,
        "a\0b",
        "a\nb",
        "a\tb",
        "a\rb",
        "\u3164\u3164ab",
        "a\ufe0fb",
        "e" + "\u0323\u0301" * 20,
        "a\u202eb",
        "a\u200bb",
        "a\ud800b",
        "🙂🙂",
        "Acme 🙂",
        "1\ufe0f\u20e3 Acme",
        "1\u20e3 Acme",
        "\N{BLACK SUN WITH RAYS}\ufe0f Sun",
        "Acme 🇩🇪",
        "👍🏽 Acme",
        "Acme 👩\u200d🚀",
        "🏴\U000e0067\U000e0062\U000e007f Acme",
        "a\u200db",
        "a\u200cb",
        "a\u00adb",
        "ᠮᠣᠩ\u180b\u180bᠭᠣᠯ",
        "ᠴᠢᠨ\u180e",
        "᠑\u180b᠒",
        "\ufeffAcme",
        "a\u2066b",
        "a\u200eb",
        "a\u2028b",
        "a\u2800b",
        "Acme%ED%A0%80",
        "$where",
        "=1+1",
        "a;b",
        "{{7*7}}",
        "<b>Acme</b>",
        "a\\b",
        "Log in at https://evil.example",
        "..",
        "../..",
        "--",
        "new",
        "New!",
        "preview",
        "create",
        "TRASH",
    ],
)
def test_what_is_no_name_is_refused_with_what_to_do(text):
    with pytest.raises(InvalidName) as refused:
        parse_name(text)
    assert re.match(r"[A-Z].*", refused.value.reason)
    assert all(character.isprintable() for character in refused.value.reason)


LEGAL_NAMES = [
    ("ООО «Ромашка»", "ooo-romashka"),
    ("M·A·C", "m-a-c"),
    ("CO₂ Capture", "co2-capture"),
    ('Toys "R" Us?', "toys-r-us"),
    ('חברת החשמל לישראל בע"מ', "khbrt-hkhshml-lyshrl-b-m"),
    ("חברת החשמל לישראל בע״מ", "khbrt-hkhshml-lyshrl-b-m"),
    ("„Акме“ ЕООД", "akme-eood"),
    ("“Acme” ‘one’ Ltd.", "acme-one-ltd"),
    ("株式会社カフェ・ド・クリエ", "zhu-shi-hui-she-kahue-to-kurie"),
    ("「まる」株式会社", "maru-zhu-shi-hui-she"),
    ("葛\U000e0100城", "ge-cheng"),
    ("ᠮᠣᠩ\u180bᠭᠣᠯ", "monggol"),
    ("ᠴᠢᠨ\u180eᠠ", None),
    ("‚Blume‘ und ‚Kind‘", "blume-und-kind"),
    ("Ինգո Արմենիա՝ ԲԲԸ։", None),
    ("شركة النور، ذ.م.م؟", None),
    ("Acme™ 20° *[X]*", "acme-20-x"),
    ("№1 Shop", "1-shop"),
    ("100% Pure, £1 = €1.20 ~ |", "100-pure-1-1-20"),
    ("Ⅲ. Übersee½", "iii-ubersee1-2"),
    ("ایران\u200cخودرو", "yrnkhwdrw"),
    ("শ্রী র\u200d্যাংগস", None),
    ("ශ්\u200dරී ලංකා", None),
    ("അവന്\u200d", None),
    ("ক্\u200cষ", None),
    ("☀ ☎ ™", None),
    ("A^2 Research", "a-2-research"),
    ("Ca$h = King", "ca-h-king"),
]


@pytest.mark.parametrize(("name", "slug"), LEGAL_NAMES)
def test_names_as_registers_have_them_are_kept(name, slug):
    """Quotes, dots and symbols of every script, and joiners where they are seen."""
    parsed = parse_name(name, None if slug_of(name) else "typed")
    assert parsed.shown == unicodedata.normalize("NFC", name)
    assert SLUG.fullmatch(parsed.slug)
    assert slug is None or parsed.slug == slug


def test_a_joiner_that_nobody_would_see_is_left_out_where_scripts_have_it():
    assert parse_name("دفتر\u200cهای نور\u200c").shown == "دفترهای نور"


def test_a_break_that_keyboards_of_scripts_without_spaces_make_is_left_out():
    assert parse_name("ធនាគារ\u200bអេស៊ីលីដា\u200b").shown == "ធនាគារអេស៊ីលីដា"


@pytest.mark.parametrize(
    ("typed", "name"), [("O‘Neil", "O’Neil"), ("‚Blume‘ O‘Neil", "‚Blume‘ O’Neil")]
)
def test_an_opening_quote_typed_for_an_apostrophe_is_one(typed, name):
    assert parse_name(typed).shown == name


@pytest.mark.parametrize("name", ["ⵜⴰⵎⴰⵣⵉⵖⵜ", "𞤀𞤣𞤤𞤢𞤥", "ߒߞߏ", "☆☆"])
def test_a_name_that_can_not_be_transcribed_takes_a_typed_slug(name):
    with pytest.raises(InvalidName, match="type one"):
        parse_name(name)
    assert parse_name(name, " Our-Slug ") == OrganizationName(name, "our-slug")


@pytest.mark.parametrize(
    "slug",
    ["a b", "a_b", "-a", "a-", "a--b", "ä", "a/b", "..", "a" * 64, "new", "TRASH", "\0", "\ud800",
     "507f1f77bcf86cd799439011", "北京"],
)  # fmt: skip
def test_a_typed_slug_is_checked_like_a_made_one(slug):
    with pytest.raises(InvalidSlug) as refused:
        parse_name("Acme Corp", slug)
    assert re.match(r"[A-Z].*", refused.value.reason)


def test_an_id_is_no_slug_of_a_name():
    with pytest.raises(InvalidName, match="id"):
        parse_name("507F1F77BCF86CD799439011")


def test_words_that_routes_use_where_a_slug_could_stand_are_reserved(app):
    rules = [rule.rule.strip("/").split("/") for rule in app.url_map.iter_rules()]
    before_a_slug = {tuple(parts[: parts.index("<slug>")]) for parts in rules if "<slug>" in parts}
    used = {
        parts[len(place)]
        for place in before_a_slug
        for parts in rules
        if len(parts) > len(place) and tuple(parts[: len(place)]) == place
    } - {"<slug>"}
    assert used
    assert used <= RESERVED
