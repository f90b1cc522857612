"""A procedural road world with exact depth, lane edges and poses, rendered by ray casting for any camera pose."""
