"""What the machine gives: memory, stored programs, files; the lowest floor, imported by modules."""
