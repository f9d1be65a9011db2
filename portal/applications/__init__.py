"""Applications that use tenant data directly: each a MongoDB user with the least that it needs."""
