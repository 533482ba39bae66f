"""Audit chain entries (placeholder for the first import)."""
