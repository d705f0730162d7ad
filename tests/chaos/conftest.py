"""The end-to-end fixtures serve here too."""

from tests.e2e.conftest import etcd_context, image_home, product

__all__ = ["etcd_context", "image_home", "product"]
