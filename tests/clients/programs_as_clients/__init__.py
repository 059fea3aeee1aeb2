"""Whole programs as clients of the daemon: they bring the tools, an agent's model calls them."""
