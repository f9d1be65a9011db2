"""The only code that touches tenant data. Knows nothing of accounts."""
