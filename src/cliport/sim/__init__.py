"""The simulated table: a UR5 with a suction gripper or a spatula, three RGB-D cameras, and the height map of the workspace.

Import from the modules: `environment.Environment`, `action.Action`, `observation.Observation` and `HeightMap`, `fusion.fuse`,
`pixels`, `poses`, `shapes`. `constants`, `poses`, `pixels`, `action`, `observation`, `cameras` and `fusion` need only NumPy.
"""
