"""What organizations use of their clusters, and the limits of it."""
