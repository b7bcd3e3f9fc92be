"""Photos with known cameras in, a neural signed-distance field and a mesh out."""
