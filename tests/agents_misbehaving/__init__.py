"""Agents that do everything an agent must not do, as real programs."""
