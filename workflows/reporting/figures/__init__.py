"""One module a figure, each with `draw(study)` that returns the figure and the data it shows."""
