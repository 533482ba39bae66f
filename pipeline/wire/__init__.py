"""Formats of bytes that travel or are stored; each carries a version."""
