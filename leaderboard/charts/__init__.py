"""Charts in Vega-Lite, by what they show, and how they look."""
