"""Who may do what to which organization: the only way from a principal to an organization."""
