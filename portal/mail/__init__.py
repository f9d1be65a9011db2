"""E-mail: an outbox in MongoDB, and what sends from it."""
