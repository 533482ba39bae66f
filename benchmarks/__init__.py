"""Programs that measure: run by hand, their results are kept beside them."""
