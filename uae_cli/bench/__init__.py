"""`uae bench`: what an attack costs, beside the passes through the attacked model that no method avoids."""
