"""The operators' command line: the admin API's use cases, for when the API is down."""
