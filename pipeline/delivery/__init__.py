"""Kinesis to ring to cursors to topologies."""
