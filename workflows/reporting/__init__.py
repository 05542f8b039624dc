"""Tables, figures and captions from what the runs wrote. Imports no torch."""
