"""The first pages of the console: what needs an operator, and how the installation is."""
