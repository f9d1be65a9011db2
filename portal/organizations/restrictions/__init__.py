"""Suspensions and legal holds of organizations, as operators set and see them."""
