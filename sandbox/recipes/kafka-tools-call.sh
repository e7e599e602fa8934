#!/usr/bin/env bash
# Lets the virtual machine that runs the tools do one call, with the files of this process, and ends
# as the tool did.
if [ -p /proc/$$/fd/0 ]; then # it would have to be open for writing to be opened again
    input=$(mktemp)
    trap 'rm -f "$input"' EXIT
    cat >"$input"
    exec <"$input"
fi
# A socket cannot be opened again.
[ ! -S /proc/$$/fd/1 ] || exec > >(cat)
[ ! -S /proc/$$/fd/2 ] || exec 2> >(cat >&2)
exec 7<&0 8>&1 9>&2 # where they stay while something else is redirected
exec 3<>"/dev/tcp/127.0.0.1/$KAFKA_TOOLS_PORT" || exit 1
for part in "$KAFKA_TOOLS_SECRET" $$ "$@"; do printf '%s\0' "${part:-$'\001'}"; done >&3
printf '\0' >&3
read -r code <&3
exit "${code:-1}"
