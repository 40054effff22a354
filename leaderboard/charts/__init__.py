"""Charts in Vega-Lite, one file per kind of page, and their theme."""
