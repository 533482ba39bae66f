"""Leases and checkpoints, used by capture and delivery."""
