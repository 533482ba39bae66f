"""Archive segments (placeholder for the first import)."""
