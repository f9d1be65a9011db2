"""MongoDB: the connection, transactions, leases, background loops, migrations, paging."""
