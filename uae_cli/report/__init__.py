"""Reports: tables beside the numbers of the paper, the table at the end of a run, figures."""
