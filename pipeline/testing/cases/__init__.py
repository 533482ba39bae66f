"""The numbered cases of SinkContract, one module for each group; the name of a test starts with its case's number."""
