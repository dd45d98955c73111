"""The commands of `registry`: options and printing; what they do is in the modules that they call."""
