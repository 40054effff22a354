"""HTML pages of the site, one file per kind of page."""
