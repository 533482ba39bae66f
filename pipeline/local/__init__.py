"""The embedded AWS of the demo and the tests."""
