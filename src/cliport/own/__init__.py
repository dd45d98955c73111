"""One's own robot: calibrated cameras, a workspace of one's own, scenes and recordings in folders, and what an agent answers.

Everything is in metres. Poses are in a frame of one's own, mostly the robot's base, whose z points up; the workspace is a box along its
axes. docs/workloads/cliport-own.md describes the files.
"""
