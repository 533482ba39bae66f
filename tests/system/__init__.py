"""The whole pipeline over fakes."""
