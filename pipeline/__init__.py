"""fanout: every change of a DynamoDB table, in order, to every place that must have it."""
