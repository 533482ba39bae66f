"""What can go wrong, by id, and the tests that make it go wrong."""
