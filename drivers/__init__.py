"""The providers: one folder each, one line in `base.py` each; a driver never imports another."""
