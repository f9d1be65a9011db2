"""Principals and the sessions, tokens and cookies they come by."""
