"""The submitter's side: what can run, where, on what and when. Imports neither torch nor a workload's code."""

NAME = "clearml-workloads"
"""The project: its folders in a user's cache and data bear this name."""
