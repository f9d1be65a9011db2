"""Files of Acme Corp, and who works with them."""

import pytest

from portal.data.access import document_access
from tests.factories import a_context, an_access, the_owner


@pytest.fixture
def seen(acme):
    """An owner's access to the documents of Acme Corp."""
    return document_access(an_access(acme), a_context(the_owner(acme)))
