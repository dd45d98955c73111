"""The labels by which an image says what it was made from, named as the OCI image specification's annotations."""

from __future__ import annotations

BASE = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
"""The digest of its base, or the ID of one that only its engine has."""
ENVIRONMENT = "org.opencontainers.image.version"
"""Its environment: the tag `env-..`."""
COMMIT = "org.opencontainers.image.revision"
"""The commit whose code it holds."""
