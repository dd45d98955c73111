"""Scripts that nobody changes: their options as settings, their command line, and what they leave as a run's results."""
