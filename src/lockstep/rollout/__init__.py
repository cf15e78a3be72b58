"""From a wish (promote, roll back, withdraw) to tables, and from a table to an update with its records."""
