"""Tests that need the clouds' SDKs: with simulators on loopback, never with a cloud."""
