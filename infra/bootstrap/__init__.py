"""What an account gets once, before its first stack (docs/aws.md)."""
