"""What runs as a host's first process until its init takes over: the standard library's `os` and `ctypes` alone."""
