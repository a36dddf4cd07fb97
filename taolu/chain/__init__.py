"""One dynamic programme for every sequence model; first of all, paths through words."""
