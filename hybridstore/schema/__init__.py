"""WHAT is stored: logical types, one declaration per dataset, and its projections. Pure: no I/O."""
