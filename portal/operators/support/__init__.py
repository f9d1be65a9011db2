"""Support access in the console: asked for, acted by, given back."""
