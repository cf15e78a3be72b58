"""Who may do what, as documents that AWS enforces: pure functions of names, so that a test can judge them."""
