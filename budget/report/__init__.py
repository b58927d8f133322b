"""Tables, JSON and plots of results."""
