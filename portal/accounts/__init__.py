"""Accounts: who may enter, and the sessions they entered by."""
