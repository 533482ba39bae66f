"""Bugs that systems with this job have shipped, by the numbers of docs/guarantees.md: none of them is here."""
