"""Commands of this repository; run them with `python -m scripts.<name>`."""
