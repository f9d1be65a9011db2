"""Use of clusters by organizations, and the limits of it."""
