"""Placements: where a new organization's documents go, how much fits, which should move."""
