"""PURE: the types on every arrow, and the decisions about them. No file, no socket, no clock, no randomness."""
