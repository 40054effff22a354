"""The site: building it into a folder, and serving it on this machine."""
