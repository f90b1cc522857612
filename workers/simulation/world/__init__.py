"""A procedural road world with exact depth and lane edges, ray-cast for any camera pose."""
