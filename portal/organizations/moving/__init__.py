"""Moves of organizations: planned, begun, carried out, watched, and gone back on."""
