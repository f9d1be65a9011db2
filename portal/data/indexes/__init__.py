"""Indexes of an organization's collection: listed, checked, built, hidden, dropped."""
