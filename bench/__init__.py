"""Measures the portal: ``make bench``. It wants a quiet machine."""
