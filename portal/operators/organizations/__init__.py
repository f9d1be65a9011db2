"""One organization in the operators' console: all that is known of it, and what can be done."""
