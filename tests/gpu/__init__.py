"""What can only be checked on an NVIDIA GPU: ``python -m tests.gpu``."""
