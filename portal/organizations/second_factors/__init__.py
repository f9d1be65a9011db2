"""Organizations that require a second factor of their members."""
