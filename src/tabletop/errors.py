"""The exceptions of tabletop.

HarnessError
└── SceneError      no acceptable scene was found in a bounded number of attempts
"""

from __future__ import annotations

from harness.errors import HarnessError


class SceneError(HarnessError):
    """No settled scene in which every object is visible was found in a bounded number of attempts."""
