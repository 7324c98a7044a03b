"""Builds the container image, with Docker or without, and lets a container of it pay a payment."""
