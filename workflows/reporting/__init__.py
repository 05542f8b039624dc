"""Tables, figures and captions from the runs' files. Imports no torch."""
