"""What a photo set is made of: folders, image files, lenses, views, findings."""
