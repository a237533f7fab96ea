"""One training by several devices and machines."""
