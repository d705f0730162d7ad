"""`python -m provisioner.plugin`."""

from provisioner.plugin.main import main

main()
