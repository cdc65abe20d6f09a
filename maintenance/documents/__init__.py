"""Documents made from a record and the snapshots attached to it, and from nothing else."""
