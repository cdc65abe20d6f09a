"""Ratios against named incumbents and floors, measured side by side in one run."""
