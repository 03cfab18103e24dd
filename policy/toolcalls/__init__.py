"""What an administrator can tell of tools and of a tenant, as data for policy."""
