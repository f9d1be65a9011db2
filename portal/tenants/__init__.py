"""The store of tenant data: a library that knows MongoDB, and nothing of the portal.

``store.TenantStore`` is the only access to a tenant's documents. It takes two PyMongo clients, a
``Placement`` and a ``locate`` function, and promises that

- no command reads or writes another collection than the placement's, whatever has its name;
- renames are transparent, except that ``locate`` decides how to continue after one;
- a single write is executed once, and acknowledged by a majority, however often connection or
  primary is lost;
- writes of many documents are executed in their order or in atomic batches, and PartialWrite says
  how many were;
- filters, updates and pipelines run no code, and reach no other collection (``queries``).

``collections`` creates, renames and drops the collections by their UUIDs, idempotently. Errors of
the store are in ``errors``, those of collections beside them; all others are PyMongo's.
"""
