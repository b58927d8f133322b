"""The functions behind the public names; they join the parts and print nothing."""
