"""The one place that builds objects."""
