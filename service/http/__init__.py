"""The HTTP side: endpoints as a table, and the frame that parses, guards and answers for them."""
