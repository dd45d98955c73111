"""Agents on this machine: started, supervised, stopped, and cleared away with what they left running."""
