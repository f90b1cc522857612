"""From observations to a graph's inputs, and from its outputs to actions."""
