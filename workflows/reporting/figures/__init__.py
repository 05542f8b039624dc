"""One module per figure, each with `draw(study)` that returns the figure and the data it shows."""
