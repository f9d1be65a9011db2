"""The people of the installation: found by address, seen with what they belong to, helped."""
