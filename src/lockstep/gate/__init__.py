"""The gate: collects facts, puts the whole table to OPA, and obeys the answer. It judges nothing itself."""
