"""sealer-cloud: a Terraform-style provisioner for cluster images. The page to read first is `pipeline.py`."""

__version__ = "0.1.0"
