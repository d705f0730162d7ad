"""The Pulumi program of one cluster: its accepted request first, then what the driver declares."""
