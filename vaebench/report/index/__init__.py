"""Many runs on one page, for the shared folder of a group."""
