"""The object's outlines in many views: their hull, its region, and how masks may grow."""
