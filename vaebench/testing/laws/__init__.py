"""The laws of the conformance kit, a file a family."""
