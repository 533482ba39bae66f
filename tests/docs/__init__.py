"""The pages for people keep their word."""
