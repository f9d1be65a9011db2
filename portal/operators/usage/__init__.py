"""What organizations use and their limits, in the console."""
