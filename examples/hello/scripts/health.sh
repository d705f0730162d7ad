#!/bin/sh
# sealer:env
[ -s "$SEALER_DATA/note" ] || { echo "no note"; exit 1; }
cat "$SEALER_DATA/note"
