"""The Faust worker over fakes."""
