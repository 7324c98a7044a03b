"""The building blocks of a stack: one file a concern, each taking one frozen args object."""
