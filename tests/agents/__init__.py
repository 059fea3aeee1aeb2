"""Tests of the embedded agents, as the programs they are: real processes, spoken to over pipes."""
