"""How far re-projected views can be trusted: against rendered truth, real stereo, and as a loop."""
