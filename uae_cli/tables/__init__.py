"""Tables: ours beside the numbers of the paper, and the one at the end of a run."""
