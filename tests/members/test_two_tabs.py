"""One browser with a tab on each of two organizations never mixes them up."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.documents.memberships import Invitation
from portal.documents.organizations import Organization
from tests.factories import an_account, an_organization
from tests.visitor import Visitor

TABS = 2


@pytest.mark.attack("T1")
@pytest.mark.parametrize("posts", [40, pytest.param(1000, marks=pytest.mark.full)])
@pytest.mark.slow
def test_interleaved_posts_on_two_organizations_and_none_on_the_wrong_one(app, posts):
    mara = an_account("mara@acme.example")
    slugs = [an_organization(name, mara).slug for name in ("Acme Corp", "Kestrel")]
    browser = Visitor(app)
    browser.log_in(mara.email)
    token = browser.token("/organizations/new")
    cookie = browser.client.get_cookie("portal_session_test").value

    def a_tab(number):
        """Of the same browser: it sends the same cookie."""
        tab = Visitor(app)
        for n in range(posts // TABS):
            tab.client.set_cookie("portal_session_test", cookie)
            slug = slugs[(n + number) % len(slugs)]
            fields = {"csrf_token": token, "role": "viewer"}
            fields["email"] = f"{slug}-{number}-{n}@invited.example"
            answer = tab.send(f"/organizations/{slug}/invitations", fields)
            assert (answer.status, answer.location) == (303, f"/organizations/{slug}/members")

    with ThreadPoolExecutor(TABS) as tabs:
        list(tabs.map(a_tab, range(TABS)))
    ids = {organization.id: organization.slug for organization in Organization.objects()}
    sent = list(Invitation.objects())
    assert len(sent) == posts
    assert all(i.email.startswith(f"{ids[i.organization]}-") for i in sent)
    assert len({i.organization for i in sent}) == 2
