"""Paths written as CLIPort's own code does the work, in our words, to compare with."""
