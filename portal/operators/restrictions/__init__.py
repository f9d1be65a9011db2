"""Suspensions and legal holds in the console."""
