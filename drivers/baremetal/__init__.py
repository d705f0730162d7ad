"""Machines that exist: named by address and host key, entered with the user's own SSH key, never made and never deleted."""
