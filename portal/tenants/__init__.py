"""The documents of organizations: a library that knows MongoDB, and nothing of the portal.

The portal uses it, and applications install it as ``portal_tenants``:

    tenants = Tenants(os.environ["TENANTS_URI"])
    acme = tenants["acme-corp"]
    acme.insert_one({"title": "First"})

It promises that

- no command reads or writes another organization's collection, whatever has its name;
- an organization's renames are transparent, and what is in the trash is neither read nor written;
- a single write is executed once, and acknowledged by a majority, however often connection or
  primary is lost;
- writes of many documents are executed in their order or in atomic batches;
- filters, updates and pipelines run no code, and reach no other collection.

Names, arguments, results and errors are PyMongo's; ``errors`` has what PyMongo has no word for.
``AsyncTenants`` is the same on PyMongo's asynchronous client. The module ``collections``, which
creates, renames and drops them, is the portal's alone.
"""

from ._async.tenants import AsyncTenant, AsyncTenants
from ._sync.tenants import Tenant, Tenants

__all__ = ["AsyncTenant", "AsyncTenants", "Tenant", "Tenants"]
