"""`uae run`: jobs, Hydra, and one job to its folder."""
