"""Faust: the only importer of faust and mode."""
