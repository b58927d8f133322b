"""Model files to graphs in the source dialect; files are parsed, never executed."""
