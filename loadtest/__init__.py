"""Load tests whose verdict counts the money as well as the milliseconds."""
