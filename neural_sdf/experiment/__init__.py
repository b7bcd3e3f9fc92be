"""A run from its config: build, train, evaluate, export, relight, and the folder it lives in."""
