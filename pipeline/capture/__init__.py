"""Table stream to lanes to Kinesis."""
