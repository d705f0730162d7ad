#!/bin/sh
# sealer:env
echo "$SEALER_HOST of $SEALER_CLUSTER" >"$SEALER_DATA/note"
