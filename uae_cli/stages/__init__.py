"""Cached work: fit, attack and evaluate, each stage found again by what determines it."""
