"""The simulated table: a UR5 with a suction gripper or a spatula, three RGB-D cameras, and the height map seen from above.

Import from the modules: `environment.Environment`, `action.Action`, `observation.Observation` and `HeightMap`, `fusion.fuse`,
`pixels`, `poses`, `shapes`, `ropes`. `constants`, `poses`, `pixels`, `action`, `observation`, `cameras` and `fusion` need only NumPy.
"""
