"""The role of the service in the database; who sets one up needs no driver to know it."""

from typing import Final

SERVICE_ROLE: Final = "coinslot_service"
"""The group role that the API and the workers act as; migration 0015 says what it may do.

A group without a login: logins of the service are members of it.
"""
