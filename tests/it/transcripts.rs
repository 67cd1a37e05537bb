//! Runs the transcripts in `commands/`: what was typed, what came out, the exit code.
//!
//! ```text
//! # a comment
//! @server --user erin:a          a server with the built-in issuer, and these arguments besides
//! @start --config gov.yaml       a server with these arguments only
//! @database prod-db env=prod     a database of its own, `<DATABASE>`, for the next @server, under this name and label
//! @stop                          its end
//! @login alice                   a login, without looking at what is said
//! @edit FILE FROM => TO          changes a file; `TOKENS` is the one in which the login rests
//! @compared 2                    waits until the accounts of so many sessions of whoever is logged in were compared
//! @remove FILE                   removes a file
//! @file gov.yaml                 a file with the indented lines that follow
//!   server: …
//! $ gov ls                       a command; `<URL>`, `<HOME>`, `<PORT>` stand for this run's own
//! 1| NAME …                      a line on stdout; `[..]` stands for anything
//! 2| error: …                    a line on stderr
//! exit 4                         the exit code; 0 when not there
//! ```
//!
//! With `GOV_UPDATE=1` the transcripts are written again; lines that still match keep their `[..]`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::support::{Ran, Sandbox, finish, postgres, repository, tool};

#[test]
fn transcripts() {
    let folder = repository().join("tests/it/commands");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5);
    let update = std::env::var_os("GOV_UPDATE").is_some();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = files.iter().map(|file| scope.spawn(move || check(file, update))).collect();
        let wait = |(running, file): (std::thread::ScopedJoinHandle<'_, _>, &PathBuf)| {
            running.join().unwrap_or_else(|_| Some(format!("--- {}: could not be played, see above", file.display())))
        };
        running.into_iter().zip(&files).filter_map(wait).collect()
    });
    assert!(wrong.is_empty(), "{}\nif that is right, run: GOV_UPDATE=1 cargo test transcripts", wrong.join("\n"));
}

/// Runs one transcript. What is wrong with it, if anything is.
fn check(file: &Path, update: bool) -> Option<String> {
    let expected = std::fs::read_to_string(file).unwrap();
    let found = Player::new().play(&expected);
    if found == expected {
        return None;
    }
    if update {
        std::fs::write(file, &found).unwrap();
        return None;
    }
    let mut out = format!("--- {}", file.display());
    for (line, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        if expected != found {
            write!(out, "\nline {}: expected {expected:?}\n{:>14} found {found:?}", line + 1, "").unwrap();
            return Some(out);
        }
    }
    write!(out, "\n{} lines expected, {} found", expected.lines().count(), found.lines().count()).unwrap();
    Some(out)
}

struct Player {
    sandbox: Sandbox,
    /// What this run's own values are called in transcripts.
    names: Vec<(String, &'static str)>,
    /// Databases for the server, as its arguments.
    resources: Vec<String>,
}

impl Player {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let home = sandbox.home.to_str().unwrap().to_owned();
        Self { sandbox, names: vec![(home, "<HOME>")], resources: Vec::new() }
    }

    /// The transcript as it should be: the same text when everything came out as expected.
    fn play(mut self, text: &str) -> String {
        let mut out = String::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            writeln!(out, "{line}").unwrap();
            let mut block = Vec::new();
            if line.starts_with("@file") {
                while let Some(next) = lines.next_if(|next| next.starts_with("  ")) {
                    block.push(next);
                }
            } else if line.starts_with("$ ") {
                while let Some(next) = lines.next_if(|next| is_result(next)) {
                    block.push(next);
                }
            }
            match line.split_once(' ').unwrap_or((line, "")) {
                ("$", typed) => out.push_str(&self.run(typed, &block)),
                ("@file", name) => {
                    let contents: String = block.iter().map(|line| format!("{}\n", &line[2..])).collect();
                    self.sandbox.write(name, &self.real(&contents));
                    block.iter().for_each(|line| writeln!(out, "{line}").unwrap());
                }
                (command, rest) if command.starts_with('@') => self.prepare(command, rest),
                (_, _) => assert!(line.is_empty() || line.starts_with('#'), "what is this? {line}"),
            }
        }
        out
    }

    fn prepare(&mut self, command: &str, rest: &str) {
        let rest = self.real(rest);
        match command {
            "@server" => {
                let arguments = words(&rest);
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                let resources: Vec<_> = self.resources.iter().map(String::as_str).collect();
                self.sandbox.start_server(&[&["--dev"], arguments.as_slice(), &resources].concat());
                self.name_server();
            }
            "@start" => {
                let arguments = words(&rest);
                self.sandbox.start_server(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
                self.name_server();
            }
            "@database" => {
                let (name, labels) = rest.split_once(' ').unwrap();
                let database = postgres::server().database();
                self.resources.push("--resource".to_owned());
                self.resources.push(database.resource(name, &self.sandbox.home, labels));
                self.names.push((database.name, "<DATABASE>"));
            }
            "@stop" => self.sandbox.stop_server(),
            "@compared" => {
                let sessions = rest.parse::<usize>().unwrap();
                let compared = || {
                    let told = self.sandbox.gov(["timeline", "01"]).stdout;
                    let enough = told.matches("the two accounts were compared").count() >= sessions;
                    std::thread::sleep(std::time::Duration::from_millis(if enough { 0 } else { 50 }));
                    enough
                };
                assert!((0..1200).any(|_| compared()), "the accounts of {sessions} sessions were not compared");
            }
            "@remove" => std::fs::remove_file(self.sandbox.home.join(&rest)).unwrap(),
            "@login" => self.sandbox.log_in(&rest),
            "@edit" => {
                let (file, change) = rest.split_once(' ').unwrap();
                let (from, to) = change.split_once(" => ").unwrap();
                let path = if file == "TOKENS" { self.sandbox.token_file() } else { self.sandbox.home.join(file) };
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(text.contains(from), "{from} is not in {file}");
                std::fs::write(path, text.replace(from, to)).unwrap();
            }
            other => panic!("unknown: {other}"),
        }
    }

    fn name_server(&mut self) {
        let url = self.sandbox.url().to_owned();
        let port = url.rsplit(':').next().unwrap().to_owned();
        self.names.insert(0, (url, "<URL>"));
        self.names.push((port, "<PORT>"));
    }

    /// With this run's own values in place of their names.
    fn real(&self, text: &str) -> String {
        self.names.iter().rev().fold(text.to_owned(), |text, (value, name)| text.replace(name, value))
    }

    fn run(&self, typed: &str, expected: &[&str]) -> String {
        let arguments = words(&self.real(typed));
        let (program, arguments) = arguments.split_first().unwrap();
        let ran = match program.as_str() {
            "gov" => self.sandbox.gov(arguments),
            // `faketime -1h gov …`: gov with another clock.
            "faketime" => {
                let mut command = std::process::Command::new(tool("faketime", "faketime"));
                let gov = self.sandbox.command(arguments.get(2..).unwrap());
                command.arg("-f").arg(&arguments[0]).arg(gov.get_program()).args(gov.get_args());
                command.env_clear().envs(gov.get_envs().filter_map(|(name, value)| Some((name, value?))));
                command.current_dir(&self.sandbox.home);
                finish(command)
            }
            other => panic!("only gov may be run: {other}"),
        };
        let found = self.lines(&ran);
        let same =
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| fits(expected, found));
        if same {
            return expected.iter().map(|line| format!("{line}\n")).collect();
        }
        let keep = |(index, line): (usize, &String)| {
            let before = expected.get(index).filter(|expected| fits(expected, line));
            before.map_or_else(|| line.clone(), |before| (*before).to_owned())
        };
        found.iter().enumerate().map(keep).map(|line| format!("{line}\n")).collect()
    }

    fn lines(&self, ran: &Ran) -> Vec<String> {
        let named =
            |text: &str| self.names.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
        let mark = |mark: &str, text: &str| -> Vec<String> {
            named(text).lines().map(|line| format!("{mark} {line}").trim_end().to_owned()).collect()
        };
        let mut lines = mark("1|", &ran.stdout);
        lines.extend(mark("2|", &ran.stderr));
        if ran.code != 0 {
            lines.push(format!("exit {}", ran.code));
        }
        lines
    }
}

fn is_result(line: &str) -> bool {
    line.starts_with("1|") || line.starts_with("2|") || line.starts_with("exit ")
}

/// Whether a line is as expected; `[..]` stands for anything.
fn fits(expected: &str, found: &str) -> bool {
    let mut parts = expected.split("[..]");
    let Some(mut rest) = found.strip_prefix(parts.next().unwrap()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

/// Words as a shell takes them: single quotes keep blanks together.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            out.push(part.to_owned());
        } else {
            out.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    out
}

#[test]
fn lines_are_compared_with_their_wildcards() {
    for (expected, found, same) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a [..] c", "a b c", true),
        ("a [..] c", "a b d", false),
        ("[..]", "", true),
        ("[..] for [..]m", "good for 14m", true),
        ("[..] for [..]m", "good 14m", false),
    ] {
        assert_eq!(fits(expected, found), same, "{expected} / {found}");
    }
}
