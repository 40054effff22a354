"""What is read: the pages of a site, one file for each kind, and the paper view."""
