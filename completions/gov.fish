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
complete -c gov -n "__fish_gov_needs_command" -f -a "classify" -d 'Show which columns of a database are sensitive, and why'
complete -c gov -n "__fish_gov_needs_command" -f -a "mask" -d 'Try whether masked values get out'
complete -c gov -n "__fish_gov_needs_command" -f -a "connect" -d 'Open a local endpoint to a database'
complete -c gov -n "__fish_gov_needs_command" -f -a "exec" -d 'Run SQL in a governed session'
complete -c gov -n "__fish_gov_needs_command" -f -a "run" -d 'Run a command with a governed database in reach'
complete -c gov -n "__fish_gov_needs_command" -f -a "explain" -d 'Say which columns of a statement are masked, and why'
complete -c gov -n "__fish_gov_needs_command" -f -a "mcp" -d 'Serve governed databases to an agent'
complete -c gov -n "__fish_gov_needs_command" -f -a "session" -d 'See and end open sessions'
complete -c gov -n "__fish_gov_needs_command" -f -a "policy" -d 'Write, check and try out policies, offline'
complete -c gov -n "__fish_gov_needs_command" -f -a "timeline" -d 'Show who ran what, and what data they touched'
complete -c gov -n "__fish_gov_needs_command" -f -a "audit" -d 'Read and verify the signed record of what happened'
complete -c gov -n "__fish_gov_needs_command" -f -a "evidence" -d 'Make a signed pack of evidence for an auditor'
complete -c gov -n "__fish_gov_needs_command" -f -a "approval" -d 'See what waits for approval, and decide it'
complete -c gov -n "__fish_gov_needs_command" -f -a "request" -d 'Ask for access to a database'
complete -c gov -n "__fish_gov_needs_command" -f -a "server" -d 'Run the gateway'
complete -c gov -n "__fish_gov_needs_command" -f -a "witness" -d 'Sign checkpoints of logs, and none that contradicts another'
complete -c gov -n "__fish_gov_needs_command" -f -a "demo" -d 'Show the main job on a private PostgreSQL'
complete -c gov -n "__fish_gov_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c gov -n "__fish_gov_needs_command" -f -a "man" -d 'Print a manual page'
complete -c gov -n "__fish_gov_using_subcommand login" -l ca-file -d 'Believe these certificate authorities too (PEM); kept for later' -r -F
complete -c gov -n "__fish_gov_using_subcommand login" -l token-store -d 'Where the login rests' -r -f -a "keychain\t''
file\t''"
complete -c gov -n "__fish_gov_using_subcommand login" -l dev-user -d 'Log in as a user of the server\'s built-in issuer, without a browser' -r
complete -c gov -n "__fish_gov_using_subcommand login" -l workload -d 'Log in as the job that this is, with the token of its platform: no browser, no prompt, no secret' -r -f -a "github\t'A job of GitHub Actions, with `permissions: id-token: write`'
gitlab\t'A job of GitLab CI, with an ID token in the variable `GOV_ID_TOKEN`'
kubernetes\t'A pod, with a projected token in the file `/var/run/secrets/gov/token`'
oidc-file\t'Anything else that puts an OpenID Connect token into a file: `--token-file`'"
complete -c gov -n "__fish_gov_using_subcommand login" -l audience -d 'What the platform\'s token is to be made for, when it is not the server\'s address' -r
complete -c gov -n "__fish_gov_using_subcommand login" -l token-file -d 'Where the platform\'s token is, when it is not in the usual place' -r -F
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
complete -c gov -n "__fish_gov_using_subcommand ls" -l agent -d 'Those this agent may use, for whoever is logged in' -r
complete -c gov -n "__fish_gov_using_subcommand ls" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand ls" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand classify" -l left-behind -d 'Take what a gateway that is no more has left there instead, by its name' -r
complete -c gov -n "__fish_gov_using_subcommand classify" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand classify" -l watch -d 'Stay, and show the list again whenever it changes'
complete -c gov -n "__fish_gov_using_subcommand classify" -l uninstall -d 'Take the masking views, their functions and their role out of the database (operators)'
complete -c gov -n "__fish_gov_using_subcommand classify" -l entities -d 'List everything that can be found'
complete -c gov -n "__fish_gov_using_subcommand classify" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand classify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand mask; and not __fish_seen_subcommand_from attack" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand mask; and not __fish_seen_subcommand_from attack" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand mask; and not __fish_seen_subcommand_from attack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand mask; and not __fish_seen_subcommand_from attack" -f -a "attack" -d 'Attack a scratch copy of a database\'s structure, and say which synthetic values got out'
complete -c gov -n "__fish_gov_using_subcommand mask; and __fish_seen_subcommand_from attack" -l purpose -d 'Why its structure is read: one of the purposes `gov ls` shows; the attacks are made under it too' -r
complete -c gov -n "__fish_gov_using_subcommand mask; and __fish_seen_subcommand_from attack" -l ref -d 'What the purpose refers to, for example a ticket' -r
complete -c gov -n "__fish_gov_using_subcommand mask; and __fish_seen_subcommand_from attack" -l masking -d 'Where sessions that read are masked; as they are for the database itself without it' -r -f -a "database\t''
wire\t''"
complete -c gov -n "__fish_gov_using_subcommand mask; and __fish_seen_subcommand_from attack" -l accept -d 'A column that may be seen as it is, as table.column; may be given several times' -r
complete -c gov -n "__fish_gov_using_subcommand mask; and __fish_seen_subcommand_from attack" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand mask; and __fish_seen_subcommand_from attack" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand mask; and __fish_seen_subcommand_from attack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand connect" -l purpose -d 'Why: one of the purposes `gov ls` shows' -r
complete -c gov -n "__fish_gov_using_subcommand connect" -l ref -d 'What the purpose refers to, for example a ticket' -r
complete -c gov -n "__fish_gov_using_subcommand connect" -l reveal -d 'Ask for the real values of a masked column, as table.column; may be given several times' -r
complete -c gov -n "__fish_gov_using_subcommand connect" -l ttl -d 'End the session after this long, for example 30m or 1h' -r
complete -c gov -n "__fish_gov_using_subcommand connect" -l agent -d 'Act as this agent, for whoever is logged in' -r
complete -c gov -n "__fish_gov_using_subcommand connect" -l port -d 'Listen on this port of 127.0.0.1; 0 takes any that is free' -r
complete -c gov -n "__fish_gov_using_subcommand connect" -l print -d 'Print how to connect, for programs; the password is part of it' -r -f -a "url\t''
env\t''
jdbc\t''
json\t''"
complete -c gov -n "__fish_gov_using_subcommand connect" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand connect" -l write -d 'Ask for write access; without it the session can only read'
complete -c gov -n "__fish_gov_using_subcommand connect" -l tls -d 'Offer TLS at the port, for tools that insist on it'
complete -c gov -n "__fish_gov_using_subcommand connect" -l background -d 'Go on in the background, and come back when the endpoint is open'
complete -c gov -n "__fish_gov_using_subcommand connect" -l detached -d 'The process in the background, once it is there'
complete -c gov -n "__fish_gov_using_subcommand connect" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand exec" -l purpose -d 'Why: one of the purposes `gov ls` shows' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -l ref -d 'What the purpose refers to, for example a ticket' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -l reveal -d 'Ask for the real values of a masked column, as table.column; may be given several times' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -l ttl -d 'End the session after this long, for example 30m or 1h' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -l agent -d 'Act as this agent, for whoever is logged in' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -s c -l command -d 'Run this; may be repeated' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -s f -l file -d 'Run what is in this file; `-` is the input' -r -F
complete -c gov -n "__fish_gov_using_subcommand exec" -s v -l set -d 'Set a variable: `:NAME` in the SQL becomes a bound value, `:"NAME"` a quoted identifier' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -l format -d 'How rows are written' -r -f -a "table\t'Aligned columns for reading'
csv\t'Comma-separated values with a header line (RFC 4180)'
json\t'One JSON array of objects'
ndjson\t'One JSON object per line'"
complete -c gov -n "__fish_gov_using_subcommand exec" -l approval -d 'Use an approval that was asked for with --no-wait, for the very same SQL' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -l parallel -d 'Of several databases, run in so many at once' -r
complete -c gov -n "__fish_gov_using_subcommand exec" -l resume -d 'Of several databases, keep in this file how each ended, and leave out those that ended well before' -r -F
complete -c gov -n "__fish_gov_using_subcommand exec" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand exec" -l write -d 'Ask for write access; without it the session can only read'
complete -c gov -n "__fish_gov_using_subcommand exec" -s 1 -l single-transaction -d 'Run everything in one transaction: all of it, or nothing'
complete -c gov -n "__fish_gov_using_subcommand exec" -l no-wait -d 'Do not wait for an approval: end with code 5, and its id on the output'
complete -c gov -n "__fish_gov_using_subcommand exec" -l dry-run -d 'Say which databases are meant and whether the policy would let it run there; open nothing'
complete -c gov -n "__fish_gov_using_subcommand exec" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand run" -l resource -d 'The database, as `gov ls` names it' -r
complete -c gov -n "__fish_gov_using_subcommand run" -l purpose -d 'Why: one of the purposes `gov ls` shows' -r
complete -c gov -n "__fish_gov_using_subcommand run" -l ref -d 'What the purpose refers to, for example a ticket' -r
complete -c gov -n "__fish_gov_using_subcommand run" -l reveal -d 'Ask for the real values of a masked column, as table.column; may be given several times' -r
complete -c gov -n "__fish_gov_using_subcommand run" -l ttl -d 'End the session after this long, for example 30m or 1h' -r
complete -c gov -n "__fish_gov_using_subcommand run" -l agent -d 'Act as this agent, for whoever is logged in' -r
complete -c gov -n "__fish_gov_using_subcommand run" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand run" -l write -d 'Ask for write access; without it the session can only read'
complete -c gov -n "__fish_gov_using_subcommand run" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand explain" -l reveal -d 'As in a session that was opened to see this masked column; may be given several times' -r
complete -c gov -n "__fish_gov_using_subcommand explain" -l estimated-rows -d 'How many rows the planner is taken to expect, where the policy looks at that; it is asked when the statement runs' -r
complete -c gov -n "__fish_gov_using_subcommand explain" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand explain" -l write -d 'As in a session that may write'
complete -c gov -n "__fish_gov_using_subcommand explain" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand mcp" -l purpose -d 'Why: one of the purposes `gov ls` shows' -r
complete -c gov -n "__fish_gov_using_subcommand mcp" -l ref -d 'What the purpose refers to, for example a ticket' -r
complete -c gov -n "__fish_gov_using_subcommand mcp" -l reveal -d 'Ask for the real values of a masked column, as table.column; may be given several times' -r
complete -c gov -n "__fish_gov_using_subcommand mcp" -l ttl -d 'End the session after this long, for example 30m or 1h' -r
complete -c gov -n "__fish_gov_using_subcommand mcp" -l agent -d 'Act as this agent, for whoever is logged in' -r
complete -c gov -n "__fish_gov_using_subcommand mcp" -l print-config -d 'Print what to put into the configuration of an agent\'s program, and do no more' -r -f -a "claude\t''
cursor\t''
vscode\t''
codex\t''"
complete -c gov -n "__fish_gov_using_subcommand mcp" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand mcp" -l write -d 'Ask for write access; without it the session can only read'
complete -c gov -n "__fish_gov_using_subcommand mcp" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand mcp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand session; and not __fish_seen_subcommand_from ls kill" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand session; and not __fish_seen_subcommand_from ls kill" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand session; and not __fish_seen_subcommand_from ls kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand session; and not __fish_seen_subcommand_from ls kill" -f -a "ls" -d 'List your open sessions; for operators, everybody\'s'
complete -c gov -n "__fish_gov_using_subcommand session; and not __fish_seen_subcommand_from ls kill" -f -a "kill" -d 'End sessions: their connections, their credentials, everything'
complete -c gov -n "__fish_gov_using_subcommand session; and __fish_seen_subcommand_from ls" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand session; and __fish_seen_subcommand_from ls" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand session; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand session; and __fish_seen_subcommand_from kill" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand session; and __fish_seen_subcommand_from kill" -l all -d 'End all sessions that `gov session ls` shows'
complete -c gov -n "__fish_gov_using_subcommand session; and __fish_seen_subcommand_from kill" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand session; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "check" -d 'Say what is wrong with a policy, with line, column and hint'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "test" -d 'Check a policy against its expectations'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "prove" -d 'Prove what a policy promises, or refute it with a statement that breaks it'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "explain" -d 'Say what would be said to a statement, and why'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "diff" -d 'Say which statements two policies decide differently'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "init" -d 'Print a commented policy to begin with'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "schema" -d 'Print the JSON Schema of policies, for editors'
complete -c gov -n "__fish_gov_using_subcommand policy; and not __fish_seen_subcommand_from check test prove explain diff init schema learn" -f -a "learn" -d 'Propose what a policy would have to allow, from what was stopped or, under `observe`, would have been'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from check" -l format -d 'How to say it' -r -f -a "text\t''
sarif\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from check" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from check" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from test" -l expect -d 'The expectations; without it the file beside the policy, gov.expect.yaml for gov.yaml' -r -F
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from test" -l env -d 'The environment, where no resource says it: prod, staging or dev' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from test" -l catalog -d 'The database\'s catalog, as JSON; without it its relations and functions are not known' -r -F
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from test" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from test" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from prove" -l expect -d 'Where more promises are; without it the file beside the policy, gov.expect.yaml for gov.yaml, if there is one' -r -F
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from prove" -l promise -d 'Only the promise with this name' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from prove" -l format -d 'How to say it' -r -f -a "text\t''
sarif\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from prove" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from prove" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from prove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l policy -d 'The policy' -r -F
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l as -d 'Who asks: a user of the configuration, or anybody' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l group -d 'A group they are in' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l kind -d 'What they are: person, workload or agent' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l on -d 'A resource of the configuration' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l purpose -d 'The purpose of the session' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l at -d 'When, for example 2026-11-27T10:00:00Z; now without it' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l estimated-rows -d 'How many rows the planner is taken to expect, where the policy looks at that; it is not asked here' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l env -d 'The environment, where no resource says it: prod, staging or dev' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l catalog -d 'The database\'s catalog, as JSON; without it its relations and functions are not known' -r -F
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l write -d 'With a session that may write'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l statements -d 'Statements, one on each line; without it thirty common ones' -r -F
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l as -d 'Who asks: a user of the configuration, or anybody' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l group -d 'A group they are in' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l kind -d 'What they are: person, workload or agent' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l on -d 'A resource of the configuration' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l purpose -d 'The purpose of the session' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l at -d 'When, for example 2026-11-27T10:00:00Z; now without it' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l estimated-rows -d 'How many rows the planner is taken to expect, where the policy looks at that; it is not asked here' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l env -d 'The environment, where no resource says it: prod, staging or dev' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l catalog -d 'The database\'s catalog, as JSON; without it its relations and functions are not known' -r -F
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l write -d 'With a session that may write'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from init" -l env -d 'What it is for: prod, staging or dev' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from init" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from init" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from schema" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from schema" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from learn" -l since -d 'Only from then on: how long ago (30d), or a time' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from learn" -l resource -d 'Only of this database' -r
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from learn" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from learn" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand policy; and __fish_seen_subcommand_from learn" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand timeline" -l person -d 'Only what this person did: name, e-mail address or pseudonym' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l agent -d 'Only what this agent did' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l resource -d 'Only at this database' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l purpose -d 'Only for this purpose' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l table -d 'Only what touched this table, with its schema or without' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l tag -d 'Only what touched columns that hold this, for example email or pii.ssn' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l approval -d 'Only this approval: who asked, who agreed, what ran by it' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l operation -d 'Only this operation' -r -f -a "read\t''
insert\t''
update\t''
delete\t''
truncate\t''
schema_change\t''
drop\t''
privilege\t''
session\t''
maintenance\t''
outside\t''
opaque\t''"
complete -c gov -n "__fish_gov_using_subcommand timeline" -l outcome -d 'Only what ended so' -r -f -a "ok\t''
error\t''
denied\t''
held\t''
unknown\t''
open\t''"
complete -c gov -n "__fish_gov_using_subcommand timeline" -l books -d 'Only statements whose two accounts compare so' -r -f -a "matched\t''
gateway_only\t''
client_only\t''
mismatch\t''
refused_by_client\t''
held\t''
unknown\t''
open\t''"
complete -c gov -n "__fish_gov_using_subcommand timeline" -l text -d 'Only statements with all these words; `pay*` stands for all words that begin so' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l since -d 'Only from then on: 2h, 30d, 2026-11-27, 2026-11-27T09:30 (UTC)' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l until -d 'Only before then' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l limit -d 'Show so many, the newest' -r
complete -c gov -n "__fish_gov_using_subcommand timeline" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand timeline" -s f -l follow -d 'Go on showing what happens'
complete -c gov -n "__fish_gov_using_subcommand timeline" -l all -d 'Also show connections, credentials, and who read the log'
complete -c gov -n "__fish_gov_using_subcommand timeline" -l drift -d 'Of one purpose, show what was never done for it in the 30 days before; --since says from when, a day ago if not'
complete -c gov -n "__fish_gov_using_subcommand timeline" -l raw -d 'Show the session\'s statements as they were typed: for auditors, where they are kept; it is recorded'
complete -c gov -n "__fish_gov_using_subcommand timeline" -l csv -d 'Print as CSV'
complete -c gov -n "__fish_gov_using_subcommand timeline" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand timeline" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -f -a "tail" -d 'Show records as they are in the log, the newest last'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -f -a "verify" -d 'Check the log: signatures, chains, the tree, what was seen last time, both accounts'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -f -a "access" -d 'Show who touched what kind of data, how often, masked or clear, and what for'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -f -a "erase" -d 'Forget a person: destroy the keys of what they typed, and whose their records are'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -f -a "export" -d 'Hand the log on: whole, for verifying it elsewhere, or as events'
complete -c gov -n "__fish_gov_using_subcommand audit; and not __fish_seen_subcommand_from tail verify access erase export key" -f -a "key" -d 'Print the log\'s public key, for verifying elsewhere'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from tail" -s n -l lines -d 'Show so many records before what comes' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from tail" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from tail" -s f -l follow -d 'Go on showing what comes'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from tail" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from verify" -l log -d 'The log: the server\'s address, or the folder or zip file it was exported to; the server one is logged in to when left out' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from verify" -l key -d 'The log\'s public key, as `gov audit key` prints it; the one seen at login when left out' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from verify" -l witness -d 'Also ask for this witness\'s signature; may be repeated' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from verify" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l tag -d 'Only this kind of data, in the words of `gov classify`: email, card, us_ssn; `pii.ssn` is understood too' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l person -d 'Only what this person did: name, e-mail address or pseudonym' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l resource -d 'Only at this database' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l since -d 'Only from then on: 2h, 30d, 2026-11-27, 2026-11-27T09:30 (UTC)' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l until -d 'Only before then' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l csv -d 'Write comma-separated values'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from access" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from erase" -l subject -d 'Whom: name, e-mail address or pseudonym' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from erase" -l reason -d 'Why, as a reference that names nobody: a ticket, an article of law' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from erase" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from erase" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from erase" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'The form: the whole log with its tree, as a folder or a zip file, to be verified anywhere; or events, as JSON lines of the Open Cybersecurity Schema Framework or as a Parquet table of the same' -r -f -a "folder\t''
zip\t''
ocsf-json\t''
parquet\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from export" -s o -l output -d 'Where to: a folder or a file that is not there; JSON lines go to the output when left out' -r -F
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from export" -l from -d 'Only events from then on: 2h, 30d, 2026-11-27 (UTC); a log is handed on whole' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from export" -l to -d 'Only events before then' -r
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from export" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from key" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from key" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand audit; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand evidence" -l from -d 'Evidence from then on: 90d, 2026-11-27, 2026-11-27T09:30 (UTC)' -r
complete -c gov -n "__fish_gov_using_subcommand evidence" -l to -d 'Evidence before then; now when left out' -r
complete -c gov -n "__fish_gov_using_subcommand evidence" -s o -l output -d 'The zip file to make' -r -F
complete -c gov -n "__fish_gov_using_subcommand evidence" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand evidence" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand evidence" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -f -a "ls" -d 'List what waits for approval: yours, and what you may decide'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -f -a "show" -d 'Show a request: the statement, what it touches, what it may change'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -f -a "approve" -d 'Agree to a request of somebody else\'s'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -f -a "deny" -d 'Say no, or take back a yes that has not been used'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -f -a "withdraw" -d 'Withdraw a request of your own'
complete -c gov -n "__fish_gov_using_subcommand approval; and not __fish_seen_subcommand_from ls show approve deny withdraw review" -f -a "review" -d 'Close what somebody took in an emergency, after having looked at what was done with it'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from ls" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from ls" -l all -d 'Those that have ended too'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from ls" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from show" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from show" -l dry-run -d 'Run the statement in a transaction that is rolled back, and count the rows it changed'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from approve" -l reason -d 'Why, for whoever asked and for the record' -r
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from approve" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from approve" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from approve" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from deny" -l reason -d 'Why, for whoever asked and for the record' -r
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from deny" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from deny" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from deny" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from withdraw" -l reason -d 'Why, for whoever asked and for the record' -r
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from withdraw" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from withdraw" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from withdraw" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from review" -l reason -d 'Why, for whoever asked and for the record' -r
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from review" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from review" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand approval; and __fish_seen_subcommand_from review" -s h -l help -d 'Print help'
complete -c gov -n "__fish_gov_using_subcommand request" -l purpose -d 'Why: one of the purposes `gov ls` shows' -r
complete -c gov -n "__fish_gov_using_subcommand request" -l ref -d 'What the purpose refers to, for example a ticket' -r
complete -c gov -n "__fish_gov_using_subcommand request" -l ttl -d 'End the session after this long, for example 30m or 1h' -r
complete -c gov -n "__fish_gov_using_subcommand request" -l agent -d 'Act as this agent, for whoever is logged in' -r
complete -c gov -n "__fish_gov_using_subcommand request" -l reason -d 'Why, for those who decide and for the record' -r
complete -c gov -n "__fish_gov_using_subcommand request" -l reveal -d 'Ask for the real values of a masked column, as table.column; may be given several times' -r
complete -c gov -n "__fish_gov_using_subcommand request" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand request" -l write -d 'Ask for write access; without it the session can only read'
complete -c gov -n "__fish_gov_using_subcommand request" -l break-glass -d 'It cannot wait: take the access now, where the policy lets you, and have it reviewed'
complete -c gov -n "__fish_gov_using_subcommand request" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand request" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand server" -l config -d 'The configuration, in YAML' -r -F
complete -c gov -n "__fish_gov_using_subcommand server" -l resource -d 'With --dev: a database to govern, NAME=postgres://USER@HOST:PORT/DATABASE?LABEL=VALUE' -r
complete -c gov -n "__fish_gov_using_subcommand server" -l user -d 'With --dev: a user, NAME:GROUP,GROUP; alice, bob, carol and dave are there already' -r
complete -c gov -n "__fish_gov_using_subcommand server" -l listen -d 'Listen here instead' -r
complete -c gov -n "__fish_gov_using_subcommand server" -l data -d 'Keep data here instead' -r -F
complete -c gov -n "__fish_gov_using_subcommand server" -l print-masking-sql -d 'Print the SQL by which a superuser lets gov mask in a database, for the user it logs in as, and end' -r
complete -c gov -n "__fish_gov_using_subcommand server" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand server" -l dev -d 'Try gov out: loopback only, with a built-in issuer that asks for no passwords'
complete -c gov -n "__fish_gov_using_subcommand server" -l check -d 'Serve nobody; compare the log\'s tables and the timeline with the log itself, and say which row says something else'
complete -c gov -n "__fish_gov_using_subcommand server" -l print-example-config -d 'Print a commented configuration and end'
complete -c gov -n "__fish_gov_using_subcommand server" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand server" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand witness" -l name -d 'What the witness signs as: a name that is yours, as in a URL without https://' -r
complete -c gov -n "__fish_gov_using_subcommand witness" -l log -d 'The key of a log to sign for, as `gov audit key` prints it; may be repeated' -r
complete -c gov -n "__fish_gov_using_subcommand witness" -l data -d 'Where the witness keeps its key and what it has seen. Never put an older copy of it back' -r -F
complete -c gov -n "__fish_gov_using_subcommand witness" -l listen -d 'Where to listen' -r
complete -c gov -n "__fish_gov_using_subcommand witness" -l certificate -d 'Serve over TLS with this certificate chain, in PEM; plain HTTP when left out' -r -F
complete -c gov -n "__fish_gov_using_subcommand witness" -l certificate-key -d 'The certificate\'s key, in PEM' -r -F
complete -c gov -n "__fish_gov_using_subcommand witness" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand witness" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand witness" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c gov -n "__fish_gov_using_subcommand demo" -l color -d 'Use colours: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t''
never\t''"
complete -c gov -n "__fish_gov_using_subcommand demo" -l keep -d 'Leave everything running, and say how to play with it'
complete -c gov -n "__fish_gov_using_subcommand demo" -l json -d 'Print data as JSON'
complete -c gov -n "__fish_gov_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
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
