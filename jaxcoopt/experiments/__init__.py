"""Experiments as settings: read from TOML, checked, built, run; used by the command line."""
