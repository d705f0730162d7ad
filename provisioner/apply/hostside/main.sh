# The last part: the verb, if this call carries it.

command -v "verb_$verb" >/dev/null 2>&1 || die 64 "unknown verb $verb"
"verb_$verb" "$@"
