"""What the program and its completion variable are called."""

PROGRAM = "sealer-cloud"
COMPLETE_VARIABLE = "_SEALER_CLOUD_COMPLETE"
