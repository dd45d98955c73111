"""Language-conditioned manipulation: a simulator with 39 tasks, their demonstrations, agents that learn from them, and their evaluation.

Written anew after CLIPort (Shridhar, Manuelli, Fox: CLIPort: What and Where Pathways for Robotic Manipulation, CoRL 2021) and
Ravens (Zeng et al.: Transporter Networks, CoRL 2020), whose names for tasks, agents and options it keeps.
"""
