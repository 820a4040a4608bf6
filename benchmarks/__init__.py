"""Measurements of jaxcoopt that are no part of the installed package: scripts, and the engine's benchmark."""
