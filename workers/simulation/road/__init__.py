"""The car on the logged road: path, plan, vehicle, trust."""
