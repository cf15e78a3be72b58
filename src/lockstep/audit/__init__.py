"""The audit log: what was decided, by whom, on what evidence, and what came of it.

Records, tree and signed heads lie in an object-locked bucket. Anybody with the public keys can verify
them with everything else stopped. `log` appends and reads, `verify` recomputes everything and shares
only the format modules (`layout`, `record`, `note`) with the writer.
"""
