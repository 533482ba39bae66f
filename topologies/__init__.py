"""The topologies that ship with fanout; read folder.py first."""
