"""The parts of every request: limits, headers, idempotency, forms, templates, errors."""
