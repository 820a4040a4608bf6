"""The compiled loop, what it records, how a run ends."""
