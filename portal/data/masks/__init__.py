"""Masks: fields that not everybody who reads documents may see."""
