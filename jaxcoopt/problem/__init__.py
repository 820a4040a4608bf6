"""What is minimised: costs of CPU, training losses, bounds, and the reference optimum."""
