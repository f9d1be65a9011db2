"""Authorization: the only way from a principal to an organization."""
