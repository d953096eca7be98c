"""What finished runs leave: the columns of `results.csv`, and all runs collected."""
