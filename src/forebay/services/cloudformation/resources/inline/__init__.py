"""Modules that inline function code may import, as on AWS: they answer a custom resource's request."""
