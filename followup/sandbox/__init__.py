"""Stand-ins for a machine without accounts. Nothing here reaches another machine."""
