"""The submitter's side: what can run, where, on what and when. Imports neither torch nor a workload's code."""
