"""One offline HTML page for each kind of result."""
