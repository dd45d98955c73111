"""What can go wrong with demonstrations.

EpisodeError        a file that is no whole episode, or holds more than arrays and plain types
"""

from __future__ import annotations

from harness.errors import DataError


class EpisodeError(DataError):
    """A file that is no whole episode."""
