//! Write, check and try out policies, offline.

mod learn;
mod prove;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgMatches, Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use self::learn::Lesson;
use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, explain, moment, parse, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{
    Access, BadName, Environment, Failure, IdentityKind, Kind, Labels, PurposeId, ResourceName, Timestamp, Touch,
};
use crate::engine::{
    Answer, Catalog, Classification, Engine, Expected, Policy, PolicyMistake, PolicySource, Question, RULES, SAMPLES,
    Snapshot,
};
use crate::runtime::{clock, files, tasks};
use crate::server::config::{self, Mistake, Outline};
use crate::wire::api::{ExplainedEstimate, TimelinePage, TimelineQuery};

pub(super) struct Policies;

/// Longest file read here, in bytes: a catalog of ten thousand tables.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// Entries of the timeline asked for at once: the most that the server gives.
const PAGE: u32 = 1000;

#[derive(Args)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say what is wrong with a policy, with line, column and hint
    Check {
        /// A policy, or a gov.yaml with one in it
        #[arg(default_value = "gov.yaml", value_name = "FILE")]
        file: PathBuf,
        /// How to say it
        #[arg(long, value_name = "FORM", default_value = "text")]
        format: Form,
    },
    /// Check a policy against its expectations
    Test {
        #[arg(default_value = "gov.yaml", value_name = "FILE")]
        file: PathBuf,
        /// The expectations; without it the file beside the policy, gov.expect.yaml for gov.yaml
        #[arg(long, value_name = "FILE")]
        expect: Option<PathBuf>,
        #[command(flatten)]
        view: View,
    },
    /// Prove what a policy promises, or refute it with a statement that breaks it
    #[command(
        long_about = "Prove what a policy promises, or refute it with a statement that breaks it.\n\nA policy compares words \
                      and numbers and computes nothing, so there are finitely many kinds of session and of statement \
                      that it can tell apart. One of each is decided, by what decides statements: what is proven holds \
                      for everybody and every statement, in any database. No solver is needed.\n\nSome promises come \
                      with gov. More are written beside the policy, in the file of expectations that `gov policy test` \
                      reads, in the words of cases; one with the name of a promise that comes with gov takes its place:\n\n  \
                      - promise: agents see no money\n    if: { kind: agent, tag: financial }\n    expect: deny     # hold: \
                      at least somebody must agree\n\n`if`, `unless` and `rules` say what it is about; `if` fits a \
                      statement when one thing in it fits, `unless` when all do.\n\nThe proof is about the policy: that \
                      the rules see in a statement what is in it is for their tests to show. It ends with code 0 when \
                      everything is proven, 10 when something is refuted, and 6 when something is neither: too much to \
                      try, or no statement was found that does what nothing excludes.",
        after_help = "Example:\n  gov policy prove gov.yaml --format sarif > gov.sarif"
    )]
    Prove {
        /// A policy, or a gov.yaml with one in it
        #[arg(default_value = "gov.yaml", value_name = "FILE")]
        file: PathBuf,
        /// Where more promises are; without it the file beside the policy, gov.expect.yaml for gov.yaml, if there is one
        #[arg(long, value_name = "FILE")]
        expect: Option<PathBuf>,
        /// Only the promise with this name
        #[arg(long, value_name = "NAME")]
        promise: Vec<String>,
        /// How to say it
        #[arg(long, value_name = "FORM", default_value = "text")]
        format: Form,
    },
    /// Say what would be said to a statement, and why
    Explain {
        /// The statement
        sql: String,
        /// The policy
        #[arg(long, default_value = "gov.yaml", value_name = "FILE")]
        policy: PathBuf,
        #[command(flatten)]
        asker: Asker,
        #[command(flatten)]
        view: View,
    },
    /// Say which statements two policies decide differently
    Diff {
        old: PathBuf,
        new: PathBuf,
        /// Statements, one on each line; without it thirty common ones
        #[arg(long, value_name = "FILE")]
        statements: Option<PathBuf>,
        #[command(flatten)]
        asker: Asker,
        #[command(flatten)]
        view: View,
    },
    /// Print a commented policy to begin with
    Init {
        /// What it is for: prod, staging or dev
        #[arg(long, default_value = "prod", value_parser = environment)]
        env: Environment,
    },
    /// Print the JSON Schema of policies, for editors
    Schema,
    /// Propose what a policy would have to allow, from what was stopped or, under `observe`, would have been
    Learn {
        /// Entries as `gov timeline --json` prints them, `-` for the input; without it the server is asked
        #[arg(value_name = "FILE", conflicts_with_all = ["since", "resource"])]
        file: Option<PathBuf>,
        /// Only from then on: how long ago (30d), or a time
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Only of this database
        #[arg(long, value_name = "RESOURCE")]
        resource: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Sarif,
}

// Who asks. Not a doc comment: clap would make it the command's help.
#[derive(Args)]
struct Asker {
    /// Who asks: a user of the configuration, or anybody
    #[arg(long = "as", value_name = "NAME", default_value = "somebody")]
    who: String,
    /// A group they are in
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// What they are: person, workload or agent
    #[arg(long, default_value = "person", value_parser = kind)]
    kind: IdentityKind,
    /// A resource of the configuration
    #[arg(long, value_name = "RESOURCE")]
    on: Option<String>,
    /// The purpose of the session
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<PurposeId>,
    /// With a session that may write
    #[arg(long)]
    write: bool,
    /// When, for example 2026-11-27T10:00:00Z; now without it
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// How many rows the planner is taken to expect, where the policy looks at that; it is not asked here
    #[arg(long, value_name = "ROWS")]
    estimated_rows: Option<u64>,
}

// What is known about the database. Not a doc comment: clap would make it the command's help.
#[derive(Args)]
struct View {
    /// The environment, where no resource says it: prod, staging or dev
    #[arg(long, default_value = "prod", value_parser = environment)]
    env: Environment,
    /// The database's catalog, as JSON; without it its relations and functions are not known
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

fn environment(word: &str) -> Result<Environment, String> {
    let all = [Environment::Production, Environment::Staging, Environment::Development];
    let found = all.into_iter().find(|environment| environment.word() == word);
    found.ok_or_else(|| "there are prod, staging and dev".to_owned())
}

fn kind(word: &str) -> Result<IdentityKind, String> {
    IdentityKind::parse(word).ok_or_else(|| "there are person, workload and agent".to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write it like 2026-11-27T10:00:00Z".to_owned())
}

impl Command for Policies {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn summary(&self) -> &'static str {
        "Write, check and try out policies, offline"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Write, check and try out policies. Nothing here needs a server, a login or a database (but `learn`, \
                 unless it is given the record): use it while writing, in a commit hook and in CI. A policy is a file of its own or the section `policy` of a gov.yaml.",
            )
            .after_help(
                "Examples:\n  gov policy check gov.yaml --format sarif > gov.sarif\n  gov policy explain 'drop table t' --as \
                 alice --on prod-db\n  gov policy test",
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        match arguments.action {
            Action::Check { file, format } => check(&file, format, output),
            Action::Test { file, expect, view } => test(&file, expect, &view, output),
            Action::Prove { file, expect, promise, format } => {
                prove::run(&file, expect.as_deref(), &promise, format, output)
            }
            Action::Explain { sql, policy, asker, view } => explained(&sql, &policy, &asker, &view, output),
            Action::Diff { old, new, statements, asker, view } => {
                diff(&old, &new, statements.as_deref(), &asker, &view, output)
            }
            Action::Init { env } => {
                output.bytes(beginning(env).as_bytes());
                Ok(Exit::Done)
            }
            Action::Schema => {
                output.json(&Policy::schema());
                Ok(Exit::Done)
            }
            Action::Learn { file: Some(file), .. } => {
                let mut lesson = Lesson::default();
                for (index, line) in input(&file)?.lines().enumerate() {
                    let entry = serde_json::from_str(line).map_err(|error| {
                        Failure::new(Kind::Usage, format!("line {} is no entry of the timeline", index + 1))
                            .detail(format!("{error}."))
                            .hint("print them with: gov timeline --json")
                    })?;
                    lesson.take(&entry);
                }
                output.bytes(lesson.patch().as_bytes());
                Ok(Exit::Done)
            }
            Action::Learn { file: None, since, resource } => {
                let since = moment::option(since.as_deref(), clock::now())?.map(|at| at.to_string());
                let query = TimelineQuery { since, resource, ..TimelineQuery::default() };
                run_async(async {
                    output.bytes(learn(query).await?.patch().as_bytes());
                    Ok(Exit::Done)
                })
            }
        }
    }
}

/// Goes through the record at the server, page by page, the newest first.
async fn learn(mut query: TimelineQuery) -> Result<Lesson, Failure> {
    let gateway = Gateway::open().await?;
    let mut lesson = Lesson::default();
    query.limit = Some(PAGE);
    loop {
        let page: TimelinePage = gateway.find("/v1/timeline", &query).await?;
        page.entries.iter().for_each(|entry| lesson.take(entry));
        query.before = page.entries.iter().map(|entry| entry.id).min();
        if !page.more || query.before.is_none() {
            return Ok(lesson);
        }
    }
}

/// A file, or what comes on the input.
fn input(file: &Path) -> Result<String, Failure> {
    if file != Path::new("-") {
        return read(file);
    }
    let mut text = String::new();
    let unreadable = |error| Failure::new(Kind::Usage, "the input cannot be read").cause(error);
    std::io::stdin().lock().take(FILE_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn read(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let bytes = files::read_limited(file, FILE_MAX)
        .map_err(|error| Failure::new(Kind::Usage, format!("`{shown}` cannot be read")).cause(error))?
        .ok_or_else(|| Failure::new(Kind::Usage, format!("there is no `{shown}`")))?;
    String::from_utf8(bytes).map_err(|_| Failure::new(Kind::Usage, format!("`{shown}` is not text in UTF-8")))
}

/// Reads a policy: a file of its own, or a section of a configuration, which has a section `server` too.
fn outline(text: &str) -> Result<Outline, Vec<Mistake>> {
    if text.lines().any(|line| line.starts_with("server:")) {
        return config::outline(text);
    }
    let told = |mistake: PolicyMistake| {
        let PolicyMistake { line, column, message, hint } = mistake;
        vec![Mistake { line, column, message, hint }]
    };
    let source = PolicySource::parse(text).map_err(told)?;
    Ok(Outline { policy: source, labels: BTreeMap::new(), users: BTreeMap::new(), agents: None })
}

/// Reads a policy that is to be used: the first mistake is the end.
fn usable(file: &Path) -> Result<Outline, Failure> {
    outline(&read(file)?).map_err(|mistakes| {
        let more = mistakes.len().saturating_sub(1);
        let first = mistakes.into_iter().next();
        let message = first.as_ref().map_or_else(String::new, |first| placed(file, first));
        let mut failure = Failure::new(Kind::Usage, message);
        failure.hint = first.and_then(|first| first.hint);
        failure.detail = (more > 0).then(|| format!("And {more} more; `gov policy check` shows them all."));
        failure
    })
}

fn placed(file: &Path, mistake: &Mistake) -> String {
    format!("{}:{}:{}: {}", file.display(), mistake.line.max(1), mistake.column.max(1), mistake.message)
}

fn check(file: &Path, format: Form, output: &mut Output) -> Result<Exit, Failure> {
    let mistakes = outline(&read(file)?).err().unwrap_or_default();
    match (format, output.format()) {
        (Form::Sarif, _) => {
            let found = |mistake: &Mistake| {
                let hint = mistake.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
                let place = (mistake.line, mistake.column);
                Finding { file: file.to_owned(), place, level: "error", message: format!("{}{hint}", mistake.message) }
            };
            output.json(&sarif("policy", &mistakes.iter().map(found).collect::<Vec<_>>()));
        }
        (Form::Text, Format::Json) => {
            let one = |mistake: &Mistake| {
                json!({
                    "file": file.display().to_string(), "line": mistake.line, "column": mistake.column,
                    "message": mistake.message, "hint": mistake.hint,
                })
            };
            output.json(&mistakes.iter().map(one).collect::<Vec<_>>());
        }
        (Form::Text, Format::Human) => {
            for mistake in &mistakes {
                output.line(placed(file, mistake));
                if let Some(hint) = &mistake.hint {
                    output.line(format_args!("    hint: {hint}"));
                }
            }
            if mistakes.is_empty() {
                output.say(format_args!("{}: nothing is wrong.", file.display()));
            }
        }
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::Usage })
}

/// Something to be shown beside a line.
struct Finding {
    file: PathBuf,
    /// Line and column from 1; 0 when it is about the whole file.
    place: (usize, usize),
    level: &'static str,
    message: String,
}

/// SARIF 2.1.0, which code review shows beside the lines.
fn sarif(rule: &str, findings: &[Finding]) -> serde_json::Value {
    let result = |finding: &Finding| {
        let (line, column) = finding.place;
        json!({
            "ruleId": rule,
            "level": finding.level,
            "message": { "text": finding.message },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": finding.file.display().to_string() },
                "region": { "startLine": line.max(1), "startColumn": column.max(1) },
            }}],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "gov", "version": env!("CARGO_PKG_VERSION"), "rules": [{ "id": rule }],
            }},
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

/// The catalog that names are looked up in.
fn catalog(view: &View) -> Result<Arc<Catalog>, Failure> {
    let Some(file) = &view.catalog else { return Ok(Arc::default()) };
    let snapshot: Snapshot = serde_json::from_str(&read(file)?)
        .map_err(|error| Failure::new(Kind::Usage, format!("`{}` is not a catalog", file.display())).cause(error))?;
    Ok(Arc::new(Catalog::from_snapshot(&snapshot, Classification::default())))
}

/// What a resource is called that nobody names.
fn unnamed_resource() -> Result<ResourceName, Failure> {
    "database".parse().map_err(|error: BadName| Failure::new(Kind::Internal, error.to_string()))
}

/// A policy that can be asked.
struct Bench<'a> {
    outline: &'a Outline,
    catalog: Arc<Catalog>,
    env: Environment,
}

impl<'a> Bench<'a> {
    fn new(outline: &'a Outline, view: &View) -> Result<Self, Failure> {
        Ok(Self { outline, catalog: catalog(view)?, env: view.env })
    }

    fn question(&self, asker: &Asker) -> Result<Question, Failure> {
        let mut groups = asker.group.clone();
        if let Some(user) = self.outline.users.get(&asker.who) {
            groups.extend(user.groups.iter().cloned());
        }
        let (resource, labels) = match &asker.on {
            None => (unnamed_resource()?, Labels::from([("env".to_owned(), self.env.word().to_owned())])),
            Some(name) => {
                let found = self.outline.labels.iter().find(|(known, _)| known.as_str() == name);
                let (name, labels) = found.ok_or_else(|| {
                    Failure::new(Kind::NotFound, format!("the configuration has no resource `{name}`"))
                        .hint("name one of its `resources`, or leave out --on and use --env")
                })?;
                (name.clone(), labels.clone())
            }
        };
        Ok(Question {
            name: asker.who.clone(),
            kind: asker.kind,
            groups,
            purpose: asker.purpose.clone(),
            access: if asker.write { Access::Write } else { Access::Read },
            resource,
            labels,
            at: asker.at.unwrap_or_else(clock::now),
            estimated_rows: asker.estimated_rows,
        })
    }

    /// Each question has an engine of its own: what is assumed for one is nothing to the next. Statements are read on a
    /// thread with room for deep ones.
    fn answer(&self, question: &Question, sql: &str) -> Result<Answer, Failure> {
        let policy = Policy::written(Environment::of(&question.labels), &self.outline.policy);
        let engine = Engine::new(Arc::new(policy), Arc::clone(&self.catalog), None);
        tasks::with_stack(|| engine.answer(question, sql))
    }
}

fn explained(sql: &str, file: &Path, asker: &Asker, view: &View, output: &mut Output) -> Result<Exit, Failure> {
    let outline = usable(file)?;
    let bench = Bench::new(&outline, view)?;
    let question = bench.question(asker)?;
    let answer = bench.answer(&question, sql)?;
    let against = match (&view.catalog, question.access) {
        (Some(file), _) => format!("the catalog in {}", file.display()),
        (None, Access::Read) => {
            "no catalog: relations are taken to be there, functions of the database are not known".to_owned()
        }
        (None, Access::Write) => "no catalog: relations and functions of the database are not known".to_owned(),
    };
    let explained = Explained::of(&answer, question.estimated_rows, against);
    match output.format() {
        Format::Json => output.json(&explained),
        Format::Human => output.bytes(explained.text().as_bytes()),
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Explained {
    verdict: &'static str,
    rule: Option<&'static str>,
    message: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    /// Byte of the statement that the message is about.
    position: Option<usize>,
    rules: Vec<(&'static str, &'static str)>,
    operations: Vec<&'static str>,
    relations: Vec<String>,
    changes_max: Option<u64>,
    /// What is decided by how many rows the planner expects, where it depends on that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_estimate: Vec<ExplainedEstimate>,
    /// How many it was taken to expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_rows: Option<u64>,
    against: String,
}

impl Explained {
    fn of(answer: &Answer, estimated_rows: Option<u64>, against: String) -> Self {
        let reason = answer.reason.clone();
        let touched = |touch: Touch| match touch {
            Touch::Read => "reads",
            Touch::Write => "writes",
            Touch::Define => "defines",
        };
        let relation = |relation: &crate::domain::Relation| {
            let schema = relation.schema.as_ref().map_or_else(String::new, |schema| format!("{schema}."));
            format!("{} {schema}{}", touched(relation.touch), relation.name)
        };
        Self {
            verdict: answer.verdict.word(),
            rule: answer.rule(),
            position: reason.as_ref().and_then(|reason| reason.position),
            message: reason.as_ref().map(|reason| reason.message.clone()),
            detail: reason.as_ref().and_then(|reason| reason.detail.clone()),
            hint: reason.and_then(|reason| reason.hint),
            rules: answer.rules.iter().map(|(rule, action)| (*rule, action.word())).collect(),
            operations: answer.statement.operations.iter().map(|operation| operation.word()).collect(),
            relations: answer.statement.relations.iter().map(relation).collect(),
            changes_max: answer.changes_max,
            by_estimate: answer
                .by_estimate
                .iter()
                .map(|step| ExplainedEstimate { rows_max: step.rows_max, verdict: step.verdict.word().to_owned() })
                .collect(),
            estimated_rows,
            against,
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![("verdict", self.verdict.to_owned())];
        let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
        add("because", self.message.clone());
        add("", self.detail.clone());
        add("hint", self.hint.clone());
        let rules: Vec<_> = self.rules.iter().map(|(rule, action)| format!("{rule} ({action})")).collect();
        add("rules", Some(rules.join(", ")).filter(|rules| !rules.is_empty()));
        add("does", Some(self.operations.join(", ")).filter(|operations| !operations.is_empty()));
        add("touches", Some(self.relations.join(", ")).filter(|relations| !relations.is_empty()));
        add("changes", self.changes_max.map(|rows| format!("at most {rows} rows, or it is rolled back")));
        let steps: Vec<_> = self.by_estimate.iter().map(|step| (step.rows_max, step.verdict.as_str())).collect();
        if !steps.is_empty() {
            add("estimate", Some(explain::by_estimate(&steps)));
            add("", Some(explain::assumption(self.estimated_rows)));
        }
        add("against", Some(self.against.clone()));
        lines.iter().map(|(name, value)| format!("{name:8} {value}\n")).collect()
    }
}

fn test(file: &Path, expect: Option<PathBuf>, view: &View, output: &mut Output) -> Result<Exit, Failure> {
    let outline = usable(file)?;
    let expect = expect.unwrap_or_else(|| file.with_extension("expect.yaml"));
    let (text, expected) = expectations(&expect)?;
    let bench = Bench::new(&outline, view)?;
    let (mut wrong, mut all) = (0, 0);
    for (index, expected) in expected.iter().enumerate() {
        let Expected::Answer(expectation) = expected else { continue };
        all += 1;
        let asker =
            Asker {
                who: expectation.who.clone().unwrap_or_else(|| "somebody".to_owned()),
                group: expectation.groups.iter().cloned().collect(),
                kind: expectation.kind.unwrap_or(IdentityKind::Person),
                on: expectation.on.clone(),
                purpose: match &expectation.purpose {
                    None => None,
                    Some(id) => Some(id.parse().map_err(|error: BadName| {
                        Failure::new(Kind::Usage, format!("{}: {error}", expect.display()))
                    })?),
                },
                write: expectation.write,
                at: expectation.at,
                estimated_rows: expectation.estimated_rows,
            };
        let question = bench.question(&asker)?;
        let answer = bench.answer(&question, &expectation.sql)?;
        if let Some(difference) = expectation.differs(&answer) {
            wrong += 1;
            let line = config::line(&text, &[&index.to_string()]);
            output.line(format_args!("{}:{line}: {difference}", expect.display()));
            output.line(format_args!("    {}", expectation.sql.trim()));
            if let Some(reason) = &answer.reason {
                output.line(format_args!("    {}", reason.message));
            }
        }
    }
    output.say(format_args!("{} of {all} are as expected.", all - wrong));
    let promises = expected.len() - all;
    if promises > 0 {
        output.say(format_args!("{promises} promises were not looked at: gov policy prove"));
    }
    Ok(if wrong == 0 { Exit::Done } else { Exit::Usage })
}

/// Reads a file of expectations, and its text for where they stand.
fn expectations(file: &Path) -> Result<(String, Vec<Expected>), Failure> {
    let text = read(file)?;
    let expected = Expected::parse(&text).map_err(|mistake| {
        let mut failure = Failure::new(Kind::Usage, format!("{}:{mistake}", file.display()));
        failure.hint = mistake.hint;
        failure
    })?;
    Ok((text, expected))
}

fn diff(
    old: &Path,
    new: &Path,
    statements: Option<&Path>,
    asker: &Asker,
    view: &View,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let text = statements.map(read).transpose()?;
    let list: Vec<&str> = match &text {
        Some(text) => text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("--")).collect(),
        None => SAMPLES.to_vec(),
    };
    let (old, new) = (usable(old)?, usable(new)?);
    let (before, after) = (Bench::new(&old, view)?, Bench::new(&new, view)?);
    let (asked_before, asked_after) = (before.question(asker)?, after.question(asker)?);
    let told = |answer: &Answer| match answer.rule() {
        Some(rule) => format!("{} ({rule})", answer.verdict.word()),
        None => answer.verdict.word().to_owned(),
    };
    let mut rows = Vec::new();
    for sql in &list {
        let (one, other) = (before.answer(&asked_before, sql)?, after.answer(&asked_after, sql)?);
        if (one.verdict, one.rule()) != (other.verdict, other.rule()) {
            rows.push(vec![told(&one), told(&other), (*sql).to_owned()]);
        }
    }
    let differ = rows.len();
    match output.format() {
        Format::Json => output.json(&rows),
        Format::Human if differ > 0 => output.table(&["old", "new", "statement"], rows),
        Format::Human => {}
    }
    output.say(format_args!("{differ} of {} statements are decided differently.", list.len()));
    Ok(Exit::Done)
}

/// A policy that changes nothing yet, with everything that can be changed in it.
fn beginning(environment: Environment) -> String {
    let mut out = format!(
        "# A policy for gov: what differs from the built-in guardrails of `{}`. Everything here is optional.\n\
         # Check it with: gov policy check FILE. Complete it in an editor with: gov policy schema.\n\n\
         # What each rule leads to: allow, observe, hold (somebody else must agree) or deny.\n\
         # Remove the `#` of a line to change it.\n#rules:\n",
        environment.word()
    );
    for rule in RULES.iter().filter(|rule| !rule.is_fixed()) {
        let default = rule.default(environment, IdentityKind::Person).word();
        let line = format!("#  {}: {default}", rule.name());
        out.push_str(&format!("{line:40} # {}\n", rule.summary()));
    }
    out.push_str(
        "\n# The same for agents, who otherwise are refused what people are asked about.\n#agent_rules:\n#  schema_change: hold\n\n\
         # What data is about. Rules and cases look at it.\n#tags:\n#  - { relation: billing.*, tags: [financial] }\n\n\
         # Functions that were read and found to do nothing but read.\n#reviewed_functions:\n\
         #  - { function: 'public.full_name(text, text)', body: any }\n\n\
         # What depends on who asks, why, for what and when.\n#cases:\n\
         #  - name: money is not for agents\n#    if: { kind: agent, tag: financial }\n#    then: deny\n\n\
         limits:\n  changed_rows: 1000        # by one transaction, in all tables\n  exported_rows: 1000       # without \
         asking\n  timeout: 5min             # for one statement; and the most a session may set\n",
    );
    out
}
