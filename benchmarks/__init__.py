"""Measurements of clinvk, always side by side in one run and told as ratios: `make bench`."""
