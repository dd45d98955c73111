"""From a command line to runs on a queue: what was asked for, what is checked, what is submitted."""
