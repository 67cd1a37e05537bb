//! The only stdout and stderr. Data goes to stdout, talk goes to stderr; nothing depends on colour; a closed pipe ends
//! the data quietly.

use std::fmt::Display;
use std::io::{self, BufRead as _, IsTerminal, Read as _, Write};

use comfy_table::{ContentArrangement, Table, TableStyle};
use serde::Serialize;

use crate::domain::Failure;
use crate::runtime::env;
use crate::wire::api::ErrorBody;

/// Longest answer to a question, in bytes.
const ANSWER_MAX: u64 = 1024;

/// What `--color` may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    Always,
    Never,
}

/// What data looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

/// Where a command says things.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    color: bool,
    /// Nobody reads stdout any more.
    closed: bool,
}

impl Output {
    pub(crate) fn new(format: Format, color: Color) -> Self {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                // no-color.org; `TERM=dumb` is what editors set.
                let unwanted = env::var("NO_COLOR").is_some() || env::var("TERM").as_deref() == Some("dumb");
                io::stderr().is_terminal() && !unwanted
            }
        };
        Self { format, color, closed: false }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether [`Output::paint`] paints.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// Whether a person watches what is said: then progress may be shown.
    pub(crate) fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether the reader of the data has gone. Whoever produces much of it should stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes of data, as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let mut stdout = io::stdout().lock();
        if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
            self.closed = true;
        }
    }

    /// A line of data.
    pub(crate) fn line(&mut self, line: impl Display) {
        self.bytes(format!("{line}\n").as_bytes());
    }

    /// A document of data, on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.warn(format!("a result could not be written as JSON: {error}")),
        }
    }

    /// A table of data; the first row is the heading.
    pub(crate) fn table(&mut self, heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = Table::new();
        table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(heading.iter().map(|word| word.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| clean(cell).replace('\n', " ")));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index + 1 == heading.len() { 0 } else { 3 }));
        }
        let text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        self.bytes(text.as_bytes());
    }

    /// Something for the person, not for the next program.
    pub(crate) fn say(&self, text: impl Display) {
        self.talk(&format!("{text}\n"));
    }

    /// Whether there is a person to ask.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && self.is_watched()
    }

    /// Asks the person. `None` when there is none: only on a terminal, and never in a script.
    pub(crate) fn ask(&self, question: impl Display) -> Option<String> {
        if !self.can_ask() {
            return None;
        }
        self.talk(&format!("{question} "));
        let mut line = String::new();
        io::stdin().lock().take(ANSWER_MAX).read_line(&mut line).ok()?;
        Some(line.trim().to_owned()).filter(|answer| !answer.is_empty())
    }

    /// Something that is not as it should be, and does not stop the command.
    pub(crate) fn warn(&self, text: impl Display) {
        let mark = self.paint("33", "warning:");
        self.talk(&format!("{mark} {text}\n"));
    }

    /// Why the command did not do what was asked: three lines for people, one document for programs.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if self.format == Format::Json {
            self.json(&ErrorBody::from(failure));
            return;
        }
        let mut text = format!("{} {}\n", self.paint("31;1", "error:"), clean(&failure.message));
        if let Some(detail) = &failure.detail {
            for line in clean(detail).lines() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("{} {}\n", self.paint("36", "hint:"), clean(hint)));
        }
        self.talk(&text);
    }

    /// Text in a colour (ECMA-48 SGR), where colours are wanted. Never the only carrier of a meaning.
    pub(crate) fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn talk(&self, text: &str) {
        // When even stderr is gone there is nobody left to tell.
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }
}

/// Text from elsewhere without what could steer the terminal (CVE-2024-10977 and its kind).
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
}
