"""The exceptions of CLIPort.

HarnessError
├── DataError
│   └── EpisodeError            a file that is not a complete episode, or holds more than arrays and plain types
├── TaskError                   an unknown task, group, mode or split, or a scene that could not be built
│   └── NoRoomError             objects that do not fit next to each other; the scene is drawn again
└── SimulatorError              anything below
    ├── DisplayError            a window was requested but there is no display
    ├── RendererError           a renderer that does not exist or does not work on this machine
    ├── AssetError              a missing file of the robot, or missing or damaged ones of the scanned objects
    ├── ReachError              a pose outside the arm's reach
    └── BlockedError            a motion that an obstacle stopped
"""

from __future__ import annotations

from harness.errors import DataError, HarnessError


class EpisodeError(DataError):
    """A file that is not a complete episode, or holds more than arrays and plain types."""


class TaskError(HarnessError):
    """An unknown task, group, mode or split, or a scene that could not be built in a bounded number of attempts."""


class NoRoomError(TaskError):
    """No free place was found in a bounded number of draws."""


class SimulatorError(HarnessError):
    """A failure of the simulator; the message says what is wrong and what would be right."""


class DisplayError(SimulatorError):
    """A window was requested but there is no display."""


class RendererError(SimulatorError):
    """A renderer that does not exist or does not work on this machine."""


class AssetError(SimulatorError):
    """A missing file of the robot, or missing or damaged ones of the scanned objects."""


class ReachError(SimulatorError):
    """A pose outside the arm's reach."""


class BlockedError(SimulatorError):
    """A motion that an obstacle stopped."""
