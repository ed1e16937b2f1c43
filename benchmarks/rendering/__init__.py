"""How README.md, its tables and its charts come from the raw results."""
