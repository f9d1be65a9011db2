"""The operators' console: who gets in, and what every page of it stands on."""
