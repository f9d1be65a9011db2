"""What passing time would do, done at once, by the server's clock."""


def let_leases_run_out(master):
    """As if half a minute had passed, or however long an operation waits to be tried again."""
    master.organizations.update_many(
        {"operation": {"$exists": True}}, [{"$set": {"operation.lease_until": "$created_at"}}]
    )


def let_jobs_be_due(master):
    """As if the processes of all jobs had died half a minute ago."""
    master.jobs.update_many({"due_at": {"$exists": True}}, [{"$set": {"due_at": "$created_at"}}])


def let_transactions_run_out(client):
    """As if ``transactionLifetimeLimitSeconds`` had passed, after which the server ends what dead
    clients left open."""
    client.admin.command({"killAllSessions": []})


def let_mails_be_due(master):
    """As if the leases of all senders had run out, and each pause."""
    master.mails.update_many({"due_at": {"$exists": True}}, [{"$set": {"due_at": "$created_at"}}])
