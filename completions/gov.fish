# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_gov_global_optspecs
    string join \n json color= h/help V/version
end

function __fish_gov_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_gov_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_gov_using_subcommand
    set -l cmd (__fish_gov_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c gov -n "__fish_gov_needs_command" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_needs_command" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_needs_command" -s V -l version -d 'Print version'
complete -c gov -n "__fish_gov_needs_command" -f -a "login" -d 'Log in to a gov server'
complete -c gov -n "__fish_gov_needs_command" -f -a "logout" -d 'End the login on this machine'
complete -c gov -n "__fish_gov_needs_command" -f -a "status" -d 'Show who is logged in, and whether the server answers'
complete -c gov -n "__fish_gov_needs_command" -f -a "ls" -d 'List the databases you may use'
complete -c gov -n "__fish_gov_needs_command" -f -a "server" -d 'Run the gateway'
complete -c gov -n "__fish_gov_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c gov -n "__fish_gov_needs_command" -f -a "man" -d 'Print a manual page'
complete -c gov -n "__fish_gov_using_subcommand login" -l ca-file -d 'Believe these certificate authorities too (PEM); kept for later' -r -F
complete -c gov -n "__fish_gov_using_subcommand login" -l token-store -d 'Where the login rests' -r -f -a "keychain\t''
file\t''"
complete -c gov -n "__fish_gov_using_subcommand login" -l dev-user -d 'Log in as a user of the server\'s built-in issuer, without a browser' -r
complete -c gov -n "__fish_gov_using_subcommand login" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand login" -l no-qr -d 'Show no QR code'
complete -c gov -n "__fish_gov_using_subcommand login" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand logout" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand logout" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand status" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand status" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand status" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand ls" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand ls" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand server" -l config -d 'The configuration, in YAML' -r -F
complete -c gov -n "__fish_gov_using_subcommand server" -l resource -d 'With --dev: a database to govern, NAME=postgres://USER@HOST:PORT/DATABASE?LABEL=VALUE' -r
complete -c gov -n "__fish_gov_using_subcommand server" -l user -d 'With --dev: a user, NAME:GROUP,GROUP; alice, bob, carol and dave are there already' -r
complete -c gov -n "__fish_gov_using_subcommand server" -l listen -d 'Listen here instead' -r
complete -c gov -n "__fish_gov_using_subcommand server" -l data -d 'Keep data here instead' -r -F
complete -c gov -n "__fish_gov_using_subcommand server" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand server" -l dev -d 'Try gov out: loopback only, with a built-in issuer that asks for no passwords'
complete -c gov -n "__fish_gov_using_subcommand server" -l print-example-config -d 'Print a commented configuration and end'
complete -c gov -n "__fish_gov_using_subcommand server" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand server" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand completions" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand completions" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand completions" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand man" -l all -d 'Write the pages of all commands into this folder' -r -F
complete -c gov -n "__fish_gov_using_subcommand man" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand man" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand man" -s h -l help -d 'Print help'
