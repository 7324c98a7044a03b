# Sourced with $root set. Where the home can't be written to (a container's is often /, or nothing),
# this clone keeps what others keep there: caches, the engine's plugins and credentials.
if ! mkdir -p "${HOME:-/dev/null}/.cache" 2>/dev/null || ! [ -w "$HOME/.cache" ]; then
    HOME="$root/.tools/home"
    mkdir -p "$HOME"
    unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME
    export HOME
fi
