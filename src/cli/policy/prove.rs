//! Proves what a policy promises, and says in words what breaks a promise that is not kept.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::exit::Exit;
use super::super::output::{Format, Output};
use super::{Bench, Finding, Form, View, expectations, read, sarif, unnamed_resource, usable};
use crate::domain::{Access, Environment, Failure, IdentityKind, Kind, Labels, Operation, Timestamp};
use crate::engine::{AgentAccess, Cause, Counterexample, Expected, Outcome, Promise, Prover, Question, read_yaml};
use crate::runtime::{clock, tasks};
use crate::server::config::{self, Outline};

/// A promise and where it stands, when somebody wrote it.
struct Held {
    promise: Promise,
    place: Option<(PathBuf, (usize, usize))>,
}

/// What is told of a promise.
#[derive(Serialize)]
struct Told {
    promise: String,
    /// The mildest verdict that keeps it.
    least: &'static str,
    outcome: &'static str,
    /// Situations that were decided, each for all that the policy cannot tell from it.
    situations: u64,
    milliseconds: u64,
    /// Why there is neither a proof nor a counterexample.
    open: Option<String>,
    counterexample: Option<Shown>,
}

/// A situation in which a promise is broken, in words.
#[derive(Serialize)]
struct Shown {
    who: String,
    session: String,
    labels: Labels,
    at: Option<String>,
    operations: Vec<&'static str>,
    relations: Vec<String>,
    estimate: Option<String>,
    verdict: &'static str,
    because: Vec<Because>,
    statement: Option<String>,
    explain: Option<String>,
}

/// What lets it through, and where that is written.
#[derive(Serialize)]
struct Because {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    what: String,
}

pub(super) fn run(
    file: &Path,
    expect: Option<&Path>,
    only: &[String],
    format: Form,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let text = read(file)?;
    let outline = usable(file)?;
    let agents = match &outline.agents {
        None => AgentAccess::Unknown,
        Some(agents) => AgentAccess::AtMost(agents.values().copied().max().unwrap_or(Access::Read)),
    };
    let held = held(file, expect, only, agents)?;
    let resource = unnamed_resource()?;
    let prover = Prover::new(&outline.policy, agents, &resource);
    let speaker = Speaker { file, text: &text, outline: &outline };
    let mut told = Vec::new();
    for Held { promise, .. } in &held {
        let from = clock::monotonic();
        let proof = tasks::with_stack(|| prover.prove(promise))?;
        let milliseconds = u64::try_from(from.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (outcome, open, counterexample) = match &proof.outcome {
            Outcome::Proven => (PROVEN, None, None),
            Outcome::Refuted(example) => (REFUTED, None, Some(speaker.shown(example)?)),
            Outcome::Unshown(example) => {
                let why = "nothing excludes this, but no statement was found that does it";
                (OPEN, Some(why.to_owned()), Some(speaker.shown(example)?))
            }
            Outcome::Empty => {
                let why = "no session and no statement is like this: look at its tags, purposes and labels";
                (OPEN, Some(why.to_owned()), None)
            }
            Outcome::TooMany(count) => {
                (OPEN, Some(format!("too many combinations ({count}); split the policy or the promise")), None)
            }
        };
        told.push(Told {
            promise: promise.name().to_owned(),
            least: promise.least().word(),
            outcome,
            situations: proof.decided,
            milliseconds,
            open,
            counterexample,
        });
    }
    match (format, output.format()) {
        (Form::Sarif, _) => {
            let findings = told.iter().zip(&held).filter_map(|(told, held)| told.finding(file, held));
            output.json(&sarif("promise", &findings.collect::<Vec<_>>()));
        }
        (Form::Text, Format::Json) => output.json(&told),
        (Form::Text, Format::Human) => {
            for told in &told {
                output.bytes(told.text().as_bytes());
            }
        }
    }
    let count = |outcome| told.iter().filter(|told| told.outcome == outcome).count();
    let (proven, refuted, open) = (count(PROVEN), count(REFUTED), count(OPEN));
    output.say(format_args!("{proven} of {} promises proven, {refuted} refuted, {open} open.", told.len()));
    Ok(match (refuted, open) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::Limit,
        (_, _) => Exit::Unsound,
    })
}

const PROVEN: &str = "proven";
const REFUTED: &str = "refuted";
const OPEN: &str = "not proven";

/// The promises that come with gov and those that are written, which take the place of their namesakes.
fn held(file: &Path, expect: Option<&Path>, only: &[String], agents: AgentAccess) -> Result<Vec<Held>, Failure> {
    let beside = file.with_extension("expect.yaml");
    let expect = expect.or_else(|| beside.exists().then_some(beside.as_path()));
    let mut written = Vec::new();
    if let Some(expect) = expect {
        let (text, expected) = expectations(expect)?;
        for (index, expected) in expected.into_iter().enumerate() {
            if let Expected::Promise(promise) = expected {
                let place = config::place(&text, &[&index.to_string()]);
                written.push(Held { promise: *promise, place: Some((expect.to_owned(), place)) });
            }
        }
    }
    let shipped = Promise::shipped(agents).into_iter();
    let kept = shipped.filter(|shipped| written.iter().all(|held: &Held| held.promise.name() != shipped.name()));
    let mut all: Vec<Held> = kept.map(|promise| Held { promise, place: None }).collect();
    all.append(&mut written);
    if let Some(unknown) = only.iter().find(|name| all.iter().all(|held| held.promise.name() != name.as_str())) {
        let names: Vec<_> = all.iter().map(|held| format!("`{}`", held.promise.name())).collect();
        return Err(Failure::new(Kind::NotFound, format!("nobody promises `{unknown}`"))
            .detail(format!("There are {}.", names.join(", "))));
    }
    all.retain(|held| only.is_empty() || only.iter().any(|name| name == held.promise.name()));
    Ok(all)
}

/// Says where in a policy something is.
struct Speaker<'a> {
    file: &'a Path,
    text: &'a str,
    outline: &'a Outline,
}

impl Speaker<'_> {
    fn shown(&self, example: &Counterexample) -> Result<Shown, Failure> {
        let question = &example.question;
        let mut because: Vec<Because> = example.causes.iter().map(|cause| self.because(cause)).collect();
        because.extend(self.granted(question));
        let at = example.at_matters.then(|| moment(question.at));
        let estimate = example.estimate.map(|rows| match rows {
            Some(rows) => format!("the planner expects {rows} rows"),
            None => "the planner cannot say how many rows".to_owned(),
        });
        Ok(Shown {
            who: who(question),
            session: session(question),
            labels: question.labels.clone(),
            at,
            operations: example.operations.iter().map(|operation: &Operation| operation.word()).collect(),
            relations: example.relations.iter().map(relation).collect(),
            estimate,
            verdict: example.verdict.word(),
            because,
            statement: example.sql.clone(),
            explain: self.explain(example)?,
        })
    }

    fn because(&self, cause: &Cause) -> Because {
        let (path, what) = match cause {
            Cause::Case { name, rule, then } => {
                (self.case(name), format!("the case `{name}` makes {rule} {}", then.word()))
            }
            Cause::Excused { name } => {
                let unless = self.case(name).map(|path| path.into_iter().chain(["unless".to_owned()]).collect());
                (unless, format!("the `unless` of the case `{name}` excuses it"))
            }
            Cause::Section { section, rule, then } => {
                let path = [*section, *rule].map(str::to_owned).to_vec();
                (Some(path), format!("`{section}` makes {rule} {}", then.word()))
            }
            Cause::BuiltIn { rule, then } => {
                (None, format!("{rule} is {} where nothing is said about it", then.word()))
            }
            Cause::Nothing => (None, "no rule speaks about it, and no case stops it".to_owned()),
        };
        self.placed(path, what)
    }

    /// The agent that lets agents write at all.
    fn granted(&self, question: &Question) -> Option<Because> {
        let agents = self.outline.agents.as_ref().filter(|_| question.kind == IdentityKind::Agent)?;
        let (id, _) =
            agents.iter().find(|(_, access)| **access == Access::Write && question.access == Access::Write)?;
        let (line, column) = config::place(self.text, &["agents", &id.to_string(), "access"]);
        let file = Some(self.file.display().to_string());
        let what = format!("sessions of the agent `{id}` may write");
        Some(Because { file, line: Some(line), column: Some(column), what })
    }

    fn placed(&self, path: Option<Vec<String>>, what: String) -> Because {
        let Some(path) = path else { return Because { file: None, line: None, column: None, what } };
        let prefix: &[&str] = if self.outline.agents.is_some() { &["policy"] } else { &[] };
        let path: Vec<&str> = prefix.iter().copied().chain(path.iter().map(String::as_str)).collect();
        let (line, column) = config::place(self.text, &path);
        Because { file: Some(self.file.display().to_string()), line: Some(line), column: Some(column), what }
    }

    /// Where a case stands: the policy itself keeps them in an order of its own.
    fn case(&self, name: &str) -> Option<Vec<String>> {
        let whole: serde_json::Value = read_yaml(self.text).ok()?;
        let policy = if self.outline.agents.is_some() { whole.get("policy")? } else { &whole };
        let named = |case: &serde_json::Value| case.get("name").and_then(serde_json::Value::as_str) == Some(name);
        let index = policy.get("cases")?.as_array()?.iter().position(named)?;
        Some(vec!["cases".to_owned(), index.to_string()])
    }

    /// A command that shows it, when one does.
    fn explain(&self, example: &Counterexample) -> Result<Option<String>, Failure> {
        let Some(sql) = &example.sql else { return Ok(None) };
        let mut question = example.question.clone();
        question.estimated_rows = example.estimate.flatten();
        let bench = Bench::new(self.outline, &View { env: Environment::Production, catalog: None })?;
        let shows = |question: &Question| Ok::<_, Failure>(bench.answer(question, sql)?.verdict == example.verdict);
        let mut place = None;
        for word in ["prod", "staging", "dev"] {
            let labels = Labels::from([("env".to_owned(), word.to_owned())]);
            if question.labels == labels && shows(&question)? {
                place = Some(format!("--env {word}"));
            }
        }
        if place.is_none() {
            for (name, labels) in &self.outline.labels {
                question.labels.clone_from(labels);
                if shows(&question)? {
                    place = Some(format!("--on {name}"));
                    break;
                }
            }
        }
        let Some(place) = place else { return Ok(None) };
        let mut words = vec![format!("gov policy explain {}", quoted(sql)), place];
        if self.file != Path::new("gov.yaml") {
            words.push(format!("--policy {}", quoted(&self.file.display().to_string())));
        }
        if question.kind != IdentityKind::Person {
            words.push(format!("--kind {}", question.kind.word()));
        }
        words.extend(question.groups.iter().map(|group| format!("--group {}", quoted(group))));
        words.extend(question.purpose.iter().map(|purpose| format!("--purpose {purpose}")));
        words.extend((question.access == Access::Write).then(|| "--write".to_owned()));
        words.extend(question.estimated_rows.map(|rows| format!("--estimated-rows {rows}")));
        words.extend(example.at_matters.then(|| format!("--at {}", question.at)));
        Ok(Some(words.join(" ")))
    }
}

fn who(question: &Question) -> String {
    let kind = match question.kind {
        IdentityKind::Person => "a person",
        IdentityKind::Workload => "a workload",
        IdentityKind::Agent => "an agent",
    };
    match question.groups.as_slice() {
        [] => kind.to_owned(),
        groups => {
            let groups: Vec<_> = groups.iter().map(|group| format!("`{group}`")).collect();
            format!("{kind} in {}", groups.join(" and "))
        }
    }
}

fn session(question: &Question) -> String {
    let access = match question.access {
        Access::Read => "a session that reads",
        Access::Write => "a session that may write",
    };
    match &question.purpose {
        Some(purpose) => format!("{access}, for `{purpose}`"),
        None => access.to_owned(),
    }
}

fn relation(relation: &crate::engine::BreachedRelation) -> String {
    let schema = if relation.schema.is_empty() { String::new() } else { format!("{}.", relation.schema) };
    let mut out = format!("{schema}{}", relation.name);
    if !relation.tags.is_empty() {
        let tags: Vec<_> = relation.tags.iter().map(String::as_str).collect();
        out.push_str(&format!(", tagged {}", tags.join(" and ")));
    }
    if let Some(rows) = relation.rows {
        out.push_str(&format!(", of {rows} rows"));
    }
    out
}

/// `monday 08:00 UTC`
fn moment(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];
    let minutes = at.seconds() / 60;
    let (days, minute) = (minutes / (24 * 60), minutes % (24 * 60));
    let day = usize::try_from(days % 7).ok().and_then(|day| DAYS.get(day)).copied().unwrap_or_default();
    format!("{day} {:02}:{:02} UTC", minute / 60, minute % 60)
}

/// A word as a shell reads it back.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

impl Told {
    fn text(&self) -> String {
        let word = match self.outcome {
            PROVEN => "PROVEN",
            REFUTED => "REFUTED",
            _ => "NOT PROVEN",
        };
        let mut out = format!("{word:10}  {}", self.promise);
        if self.outcome == PROVEN {
            out.push_str(&format!(" ({} situations, {} ms)", self.situations, self.milliseconds));
        }
        out.push('\n');
        let mut line = |name: &str, value: &str| out.push_str(&format!("    {name:9} {value}\n"));
        if let Some(open) = &self.open {
            line("why", open);
        }
        let Some(shown) = &self.counterexample else { return out };
        line("who", &shown.who);
        line("with", &shown.session);
        if !shown.labels.is_empty() {
            let labels: Vec<_> = shown.labels.iter().map(|(label, value)| format!("{label}: {value}")).collect();
            line("where", &labels.join(", "));
        }
        shown.at.iter().for_each(|at| line("when", at));
        if !shown.operations.is_empty() {
            line("does", &shown.operations.join(", "));
        }
        if !shown.relations.is_empty() {
            line("touches", &shown.relations.join("; "));
        }
        shown.estimate.iter().for_each(|estimate| line("rows", estimate));
        line("verdict", &format!("{}, where at least {} is promised", shown.verdict, self.least));
        shown.because.iter().for_each(|because| line("because", &because.told()));
        shown.statement.iter().for_each(|statement| line("statement", statement));
        shown.explain.iter().for_each(|explain| line("try", explain));
        out
    }

    /// Where the policy lets it through; where it is promised, when that is nowhere.
    fn finding(&self, file: &Path, held: &Held) -> Option<Finding> {
        let level = match self.outcome {
            PROVEN => return None,
            REFUTED => "error",
            _ => "warning",
        };
        let because = self.counterexample.iter().flat_map(|shown| &shown.because);
        let written = because.filter_map(|because| Some((because.line?, because.column?))).next();
        let (file, place) = match (written, &held.place) {
            (Some(place), _) => (file.to_owned(), place),
            (None, Some((file, place))) => (file.clone(), *place),
            (None, None) => (file.to_owned(), (0, 0)),
        };
        Some(Finding { file, place, level, message: self.text().trim_end().to_owned() })
    }
}

impl Because {
    fn told(&self) -> String {
        match (&self.file, self.line, self.column) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: {}", self.what),
            _ => self.what.clone(),
        }
    }
}
