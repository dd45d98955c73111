"""`registry new`: a workload from nothing, or around a script that stays as it is."""
