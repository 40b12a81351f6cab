"""Benchmarks, run by asv (airspeed velocity): see CONTRIBUTING.md."""
