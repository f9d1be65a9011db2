"""Support access: an operator sees an organization, because one of its owners lets them."""
