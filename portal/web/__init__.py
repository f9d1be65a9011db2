"""What every request passes: its limits and headers, idempotency, forms, templates, errors."""
