"""Names in right-to-left scripts leave the words beside them where they are."""

import re
from html import unescape

import pytest

from portal.bidi import bdi, isolated
from portal.documents.organizations import Organization
from portal.mail import sender
from tests.mail.post_office import text_of
from tests.visitor import PASSWORD

NAME = "شركة النور (2000)!"
RENAMED = 'חברה בע"מ'
INVISIBLE = "\u2068{}\u2069"


@pytest.mark.parametrize("name", ["Acme Corp", "ООО «Ромашка»", "北京", "CO₂", "\u0300"])
def test_what_runs_from_left_to_right_stays_as_it_is(name):
    assert isolated(name) == bdi(name) == name


@pytest.mark.parametrize("name", [NAME, RENAMED, "Acme שלום", "ܐܒܓ", "ߒߞߏ", "١٢٣ Acme", "𞤀𞤣"])
def test_what_runs_from_right_to_left_is_isolated_once(name):
    assert isolated(name) == INVISIBLE.format(name)
    assert isolated(isolated(name)) == isolated(name)
    assert bdi(name).startswith("<bdi>")


def test_markup_in_a_name_stays_text():
    assert bdi("א<b>") == "<bdi>א&lt;b&gt;</bdi>"


def bare(page, name):
    """The places of a page that show the name without isolation; inputs have a direction of their
    own."""
    shown = re.sub(r"<(input|textarea)[^>]*>", "", unescape(page.response.get_data(as_text=True)))
    for kept in (f"<bdi>{name}</bdi>", INVISIBLE.format(name)):
        shown = shown.replace(kept, "")
    return [
        shown[max(0, at.start() - 60) : at.end() + 20] for at in re.finditer(re.escape(name), shown)
    ]


@pytest.fixture
def arabic(visitor):
    """An organization with an Arabic name, its key, and a person with a Hebrew one."""
    fields = {"organization_name": NAME, "slug": "nur", "email": "mara@acme.example"}
    visitor.post("/signup", {**fields, "password": PASSWORD})
    visitor.post("/account", {"name": RENAMED, "theme": "auto", "time_zone": ""})
    visitor.post("/organizations/nur/keys/new", {"name": NAME, "role": "viewer"})
    return visitor


PAGES = [
    *(f"/organizations/nur{part}" for part in (
        "", "/rename", "/delete", "/members", "/members/invitations", "/activity", "/settings",
        "/keys", "/keys/new", "/leave", "/second-factor")),
    "/organizations", "/account",
]  # fmt: skip


def test_every_name_on_a_page_is_isolated(arabic):
    for path in PAGES:
        page = arabic.get(path)
        for name in (NAME, RENAMED):
            assert not bare(page, name), path
        assert page.status in (200, 404, 409), path


def test_titles_messages_and_the_trash_isolate_names(arabic):
    renamed = arabic.post(
        "/organizations/nur/rename", {"organization_name": RENAMED, "slug": "nur"}
    )
    page = arabic.get(renamed.location)
    assert page.html.title.get_text().startswith(INVISIBLE.format(RENAMED))
    told = page.html.select_one(".flash").get_text()
    assert f"{INVISIBLE.format(NAME)} is now {INVISIBLE.format(RENAMED)}." in told
    arabic.post("/organizations/nur/delete", {"confirm_name": RENAMED})
    trashed = f"/trash/{Organization.objects.get().id}"
    for path in ("/trash", trashed, f"{trashed}/restore", f"{trashed}/purge"):
        page = arabic.get(path)
        assert page.status == 200
        assert not bare(page, RENAMED)


def test_an_error_isolates_the_name_that_it_says(arabic):
    page = arabic.post("/organizations/nur/rename", {"organization_name": NAME})
    assert INVISIBLE.format(NAME) in page.fault("organization_name")


def test_mails_isolate_names_in_subject_and_text(app, arabic, office):
    arabic.post("/organizations/nur/delete", {"confirm_name": NAME})
    sender.send_due_mails(app)
    [message] = [m for m in office.messages if "trash" in m["Subject"]]
    assert message["Subject"].strip() == f"{INVISIBLE.format(NAME)} is in the trash"
    for kind in ("plain", "html"):
        text = unescape(text_of(message, kind))
        assert text.count(NAME) == text.count(INVISIBLE.format(NAME)) > 0
