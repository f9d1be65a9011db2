"""E-mail: an outbox in MongoDB, and its sender."""
