"""Where data comes from: one loader per file format or library."""
