"""The exceptions of the simulator.

SimulatorError          anything below
├── DisplayError        a window was asked for where there is no display
├── RendererError       a renderer that does not exist, or does not work here
├── AssetError          a file of the robot that is missing
├── ReachError          a pose that the arm cannot take
└── BlockedError        a motion that something is in the way of
"""

from __future__ import annotations

from harness.errors import HarnessError


class SimulatorError(HarnessError):
    """A failure whose message tells what is wrong and what would be right."""


class DisplayError(SimulatorError):
    """A window was asked for where there is no display."""


class RendererError(SimulatorError):
    """A renderer that does not exist, or does not work here."""


class AssetError(SimulatorError):
    """A file of the robot that is missing."""


class ReachError(SimulatorError):
    """A pose that the arm cannot take."""


class BlockedError(SimulatorError):
    """A motion that something is in the way of."""
