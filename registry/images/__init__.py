"""Images: what they are built from, and where they are kept: the container engine, image registries, logins, SBOMs."""
