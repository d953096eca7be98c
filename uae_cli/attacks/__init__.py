"""Attacks: criterion × similarity × solver; every attack of the paper is one such triple."""
