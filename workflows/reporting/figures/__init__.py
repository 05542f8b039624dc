"""One module a figure, each with `draw(results, runs, train_logs)` that returns the figure and the data it shows."""
