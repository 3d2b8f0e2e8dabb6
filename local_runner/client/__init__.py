"""Calling the function: files found, payloads sent, answers counted."""
