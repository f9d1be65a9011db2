"""The listing of organizations follows the truth, and finds them."""



from portal.documents.organizations import Strategy
from portal.operators.listing.feeding import feed, feed_marked
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import read_page
from portal.operators.listing.sorting import Order
from tests.factories import an_account, an_organization


def a_shared(name, account=None):
    """An organization in a shared collection, which is quickest to make."""
    return an_organization(name, account, strategy=Strategy.SHARED)


def found(search, **filters):
    """The names that a search finds, in the order of the page."""
    feed_marked()
    return [row.name for row in read_page(OrganizationFilter(search, **filters), Order()).rows]


def test_a_sign_up_is_listed_by_the_next_round(app):
    organization = an_organization("Acme Corp", an_account("mara@acme.example"))
    feed()
    [row] = read_page(OrganizationFilter(), Order()).rows
    assert (row.id, row.name, row.slug) == (organization.id, "Acme Corp", "acme-corp")
    assert row.owners == ["mara@acme.example"]


def test_words(app):
    an_organization("Verdant Grocers", an_account("mara+x@mail.verdant.example"))
    assert found("ver") == ["Verdant Grocers"]
