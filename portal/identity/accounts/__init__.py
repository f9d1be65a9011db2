"""A person's own account: created, verified, recovered, edited, exported, closed."""
