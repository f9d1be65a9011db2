"""Logging in, its second step, and throttling of failed attempts."""
