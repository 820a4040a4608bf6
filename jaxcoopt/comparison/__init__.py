"""Methods compared: tuned alike, on the same random instances, networks and links."""
