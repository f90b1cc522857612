"""From paired results to a verdict and its sentence."""
