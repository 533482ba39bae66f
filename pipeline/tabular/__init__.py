"""Items as rows: for SQL and for files that others' tools read. Each needs an extra."""
