"""Accounts, sessions, authentication, second factors, API keys."""
