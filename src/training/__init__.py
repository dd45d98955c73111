"""What workloads share inside a rank. Nothing is imported here: `training.pictures` goes without torch."""
