"""`uae paper`: every table and figure of the paper, what is done, what is missing, and one page of it all."""
