"""The only outward network."""
