"""Published results, and how reproductions of them compare."""
