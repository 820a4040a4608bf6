"""Settings tuned by gradient descent through whole runs."""
