"""MongoDB: connection, transactions, leases, background loops, migrations, paging, users."""
