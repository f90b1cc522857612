"""How far re-projected views can be trusted: measured against rendered truth, real stereo, and as a loop."""
