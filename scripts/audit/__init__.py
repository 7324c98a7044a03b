"""Audits what the image carries: advisories, the lock, licences, and the image's own files."""
