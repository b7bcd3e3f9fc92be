"""What can be wrong with a photo set, and how it is told."""
