"""From `conf/` and the command line to one checked `Experiment`."""
