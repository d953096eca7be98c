"""`uae compare`: which arms help, by how much, and what a person can do about it."""
