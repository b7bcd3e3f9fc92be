"""Plain photos become a photo set with cameras, by structure from motion."""
