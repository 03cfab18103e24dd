"""`assent completion`: a script for the shell, with the commands and options of now.

Rule: the script knows them all, so that a key press starts no process.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer

from bus.core.errors import UsageError
from bus.core.suggest import hint

_BASH: Final = """\
_assent() {
  local word="${COMP_WORDS[COMP_CWORD]}" path="" words="" index next
  for ((index = 1; index < COMP_CWORD; index++)); do
    next="${path:+$path }${COMP_WORDS[index]}"
    case "$next" in
      PATHS) path="$next" ;;
    esac
  done
  case "$path" in
CASES
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$word"))
}
complete -F _assent assent
"""

Shell = Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]
Tree = Mapping[str, tuple[str, ...]]
"""What may follow each path of commands: "", "stream", "stream read"."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    def completion(shell: Shell) -> None:
        """Print a script that completes commands and options.

        For bash: `assent completion bash > ~/.local/share/bash-completion/completions/assent`.
        """
        made = SHELLS.get(shell)
        if made is None:
            raise UsageError(
                f"no shell {shell!r}{hint(shell, SHELLS)}; {', '.join(SHELLS)}"
            )
        typer.echo(made(words_of(typer.main.get_command(app))), nl=False)

    app.command("completion")(completion)


def words_of(command: Any, path: str = "") -> dict[str, tuple[str, ...]]:
    """Return what may follow each path of commands below one."""
    options = [
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    ]
    below: dict[str, Any] = getattr(command, "commands", {})
    found = {path: (*sorted(below), *sorted({*options, "--help"}))}
    for name, inner in below.items():
        found |= words_of(inner, f"{path} {name}".strip())
    return found


def _bash(tree: Tree) -> str:
    paths = "|".join(f'"{path}"' for path in tree if path)
    cases = "\n".join(
        f'    "{path}") words="{" ".join(words)}" ;;' for path, words in tree.items()
    )
    return _BASH.replace("PATHS", paths).replace("CASES", cases)


def _zsh(tree: Tree) -> str:
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash(tree)


def _fish(tree: Tree) -> str:
    lines = []
    for path, words in tree.items():
        names = [word for word in words if not word.startswith("--")]
        options = [word[2:] for word in words if word.startswith("--")]
        when = "__fish_use_subcommand"
        if path:
            first, _, second = path.partition(" ")
            when = f"__fish_seen_subcommand_from {first}"
            if second:
                when += f"; and __fish_seen_subcommand_from {second}"
            elif names:
                when += f"; and not __fish_seen_subcommand_from {' '.join(names)}"
        start = f"complete -c assent -n '{when}'"
        if names:
            lines.append(f"{start} -f -a '{' '.join(names)}'")
        lines += [f"{start} -l {option}" for option in options]
    return "\n".join(lines) + "\n"


SHELLS: Final[Mapping[str, Callable[[Tree], str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
