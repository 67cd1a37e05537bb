//! Show the main job on a private PostgreSQL.
//!
//! Every line that begins with `$` is run as it stands, by this same program, and every claim is checked against the
//! database itself. The demonstration ends well only when each of them held.

use std::io::Write as _;
use std::process::Stdio;

use clap::{ArgMatches, Args};

use super::exit::Exit;
use super::output::Output;
use super::stage::{STEP_MAX, Stage, broken, unless_interrupted};
use super::{Command, parse, run_async};
use crate::domain::{Failure, Kind};

/// Roles as an administrator would make them for gov, and a small shop with values that look real and are not.
const CONTENTS: &str = include_str!("demo.sql");

pub(super) struct Demo;

#[derive(Args)]
struct Arguments {
    /// Leave everything running, and say how to play with it
    #[arg(long)]
    keep: bool,
}

impl Command for Demo {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn summary(&self) -> &'static str {
        "Show the main job on a private PostgreSQL"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Show the main job on a private PostgreSQL: log in, connect, see results masked and a DROP TABLE stopped, \
                 watch the session's database role come and go, and read and verify the record of it all.\n\nEverything \
                 lives in a folder of its own and is removed at the end; nothing of yours is touched. It needs the \
                 programs of a PostgreSQL server (Debian: postgresql) and, as root, the user `postgres`.",
            )
            .after_help("Example: gov demo --keep")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        run_async(async {
            output.say("Starting a private PostgreSQL and a gov server, in a folder of their own.");
            let mut stage = Stage::new("demo").await?;
            let shown = unless_interrupted(async {
                stage.set().await?;
                stage.open_shop().await?;
                stage.show(output).await
            });
            let shown = shown.await;
            if arguments.keep && matches!(shown, Ok(Some(()))) {
                stage.leave(output)?;
            } else {
                stage.end_sessions().await;
                stage.clear().await;
            }
            Ok(shown?.map_or(Exit::INTERRUPTED, |()| Exit::Done))
        })
    }
}

impl Stage {
    /// Fills the database, and starts the server for it.
    async fn open_shop(&mut self) -> Result<(), Failure> {
        self.sql("postgres", "CREATE DATABASE shop").await?;
        self.sql("shop", CONTENTS).await?;
        let address = self.address("gov_broker", "shop");
        let resource = format!("shop={address}?env=prod&read-role=app_ro&write-role=app_rw");
        self.serve(&["--dev", "--resource", &resource]).await
    }

    /// The demonstration itself.
    async fn show(&self, output: &mut Output) -> Result<(), Failure> {
        let url = self.url.clone();
        chapter(output, "Log in, through the real device flow (the built-in issuer asks for no password)");
        self.typed(output, &["login", &url, "--dev-user", "alice", "--token-store", "file"], 0).await?;
        self.typed(output, &["ls"], 0).await?;

        chapter(output, "Read. Nobody has configured what is sensitive; it comes back masked");
        let select = "SELECT id, full_name, email, credit_card, country FROM customers ORDER BY id LIMIT 3";
        let shown = self.typed(output, &["exec", "shop", "-c", select], 0).await?;
        let secrets = self
            .sql(
                "shop",
                "SELECT email FROM customers WHERE id <= 3 UNION ALL SELECT credit_card FROM customers WHERE id <= 3",
            )
            .await?;
        let leaked = secrets.lines().find(|secret| shown.contains(secret));
        claim(output, leaked.is_none(), "none of the real addresses and card numbers got through")?;

        chapter(output, "Count. What needs no masking is exact");
        let count = "SELECT country, count(*), sum(amount) FROM customers c JOIN orders o ON o.customer_id = c.id \
                     GROUP BY country ORDER BY country";
        let shown = self.typed(output, &["exec", "shop", "--format", "csv", "-c", count], 0).await?;
        let direct = self.sql("shop", &format!("SELECT string_agg(t.country || ',' || t.count || ',' || t.sum, E'\\n' ORDER BY t.country) FROM ({count}) t")).await?;
        let same = direct.lines().all(|line| shown.contains(line));
        claim(output, same, "the same numbers as asked directly")?;

        chapter(output, "Destroy. It does not happen");
        let before = self.sql("shop", "SELECT count(*) FROM customers").await?;
        self.typed(output, &["exec", "shop", "-c", "DROP TABLE customers"], 3).await?;
        let after = self.sql("shop", "SELECT count(*) FROM customers").await?;
        claim(output, before == after && before != "0", &format!("the table still has its {after} rows"))?;

        chapter(output, "Connect. psql, DBeaver and any driver use the endpoint as if it were the database");
        let roles = "SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname LIKE 'gov\\_s\\_%'";
        let none = self.sql("shop", roles).await?;
        claim(output, none.is_empty(), "no session, so no session's role exists in the database")?;
        self.typed(output, &["connect", "shop", "--background"], 0).await?;
        let one = self.sql("shop", roles).await?;
        claim(output, one.starts_with("gov_s_"), &format!("a role was made for this session: {one}"))?;
        self.typed(output, &["session", "ls"], 0).await?;
        self.typed(output, &["session", "kill", "--all"], 0).await?;
        let none = self.sql("shop", roles).await?;
        claim(output, none.is_empty(), "the session has ended, and its role is gone")?;
        self.look_back(output, &secrets).await
    }

    /// What is on record of all that, and what it is worth.
    async fn look_back(&self, output: &mut Output, secrets: &str) -> Result<(), Failure> {
        chapter(output, "Look back. Everything is on record, without a single value of anybody's");
        let shown = self.typed(output, &["timeline"], 0).await?;
        let told = ["DROP TABLE customers", "denied by destructive_ddl", "ORDER BY id LIMIT $1", "session closed"];
        let missing = told.iter().find(|text| !shown.contains(*text));
        claim(output, missing.is_none(), "what was asked, what was refused and what ran are all there")?;
        let leaked = secrets.lines().find(|secret| shown.contains(secret));
        claim(output, leaked.is_none(), "and none of the addresses and card numbers")?;

        chapter(output, "Verify. Both sides signed what they saw; the log cannot be changed unnoticed");
        let shown = self.typed(output, &["audit", "verify"], 0).await?;
        claim(output, shown.contains("entries: sound"), "every signature, chain and proof holds")?;
        let agreed = shown.contains("unmatched = 0") && !shown.contains("statements: 0 matched");
        claim(output, agreed, "client and gateway agree about every statement")
    }

    /// Runs a command of ours as somebody would type it, shows what it says, and gives back its output.
    async fn typed(&self, output: &mut Output, arguments: &[&str], exit: i32) -> Result<String, Failure> {
        let words: Vec<String> = arguments.iter().map(|word| shell_word(word)).collect();
        output.line(format!("\n$ gov {}", words.join(" ")));
        let mut process = self.gov(arguments);
        process.stdin(Stdio::null()).kill_on_drop(true);
        let ran = tokio::time::timeout(STEP_MAX, process.output()).await;
        let ran = ran
            .map_err(|_| Failure::new(Kind::Internal, format!("`gov {}` does not end", words.join(" "))))?
            .map_err(|error| broken("a command cannot be run", &error))?;
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        output.line(said.trim_end());
        if ran.status.code() != Some(exit) {
            let ended = ran.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            return Err(Failure::new(Kind::Internal, "the demonstration did not go as it should")
                .detail(format!("`gov {}` ended with {ended} instead of {exit}.", words.join(" "))));
        }
        Ok(said)
    }

    /// Ends what runs in the background, if the demonstration came so far and no further.
    async fn end_sessions(&self) {
        let mut process = self.gov(&["session", "kill", "--all"]);
        process.stdin(Stdio::null()).kill_on_drop(true);
        drop(tokio::time::timeout(STEP_MAX, process.output()).await);
    }

    /// Leaves everything running, with a file that says where.
    fn leave(self, output: &mut Output) -> Result<(), Failure> {
        let text: String =
            self.homes().iter().map(|(name, folder)| format!("export {name}={}\n", folder.display())).collect();
        let file = self.folder.join("env");
        let mut written = std::fs::File::create(&file).map_err(|error| broken("a file cannot be written", &error))?;
        written.write_all(text.as_bytes()).map_err(|error| broken("a file cannot be written", &error))?;
        let (url, stop) = (self.url.clone(), self.released());
        output.say(format!(
            "\nEverything goes on running. To play with it:\n\n  . {}\n  gov exec shop -c 'SELECT * FROM customers LIMIT 5'\n  \
             gov connect shop -- psql\n  gov login {url} --dev-user bob      # bob may write\n\nTo end it and leave nothing:\n\n  \
             {stop}\n",
            file.display(),
        ));
        Ok(())
    }
}

fn chapter(output: &mut Output, title: &str) {
    let title = output.paint("1", &format!("# {title}"));
    output.line(format!("\n{title}"));
}

/// Says that something was checked and held; or ends the demonstration.
fn claim(output: &mut Output, held: bool, text: &str) -> Result<(), Failure> {
    if held {
        let mark = output.paint("32", "checked:");
        output.line(format!("{mark} {text}"));
        return Ok(());
    }
    Err(Failure::new(Kind::Internal, "the demonstration did not go as it should").detail(format!("Not true: {text}.")))
}

fn shell_word(word: &str) -> String {
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=@".contains(&byte));
    if plain { word.to_owned() } else { format!("\"{word}\"") }
}
