"""Principals, and the sessions, tokens and cookies that authenticate them."""
