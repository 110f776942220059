"""A guest in a host's process: threads, imports, settings, and the user's no."""
