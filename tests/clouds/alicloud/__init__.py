"""Alibaba Cloud: its simulator and what is tested on it."""
