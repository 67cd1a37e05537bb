//! `gov mask attack`: does anything that should be masked get out?
//!
//! Nothing of the user's database is attacked, changed or copied but its structure: that is read through a governed
//! session like everybody's, made anew in a private PostgreSQL on this machine, and filled with synthetic values. A
//! private server governs that copy by the same policy, labels and classification; the attempts go through an endpoint
//! and a gateway as a client's statements do, and what comes back is searched for the synthetic values.

mod attack;
mod canary;
mod family;
mod structure;

use std::collections::{BTreeMap, HashMap};

use clap::{ArgMatches, Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use self::attack::{Ground, Leak, Score, Target};
use self::canary::{Mark, Marks, ROWS};
use self::structure::{Column, Made, Structure, Table};
use super::exit::Exit;
use super::output::{Format, Output};
use super::stage::{Stage, unless_interrupted};
use super::{Command, classify, parse, run_async, wish};
use crate::client::gateway::Gateway;
use crate::client::inside::Inside;
use crate::client::session::{Held, Wish};
use crate::domain::{Access, ColumnName, Duration, Failure, Kind, Masking, ResourceName};
use crate::engine::{FREE_TEXT, literal, quoted};
use crate::runtime::database::Connection;
use crate::runtime::{files, log};
use crate::wire::api::{ClassifiedColumn, ClassifiedResource, Me};

pub(super) struct Mask;

/// The scratch copy, and who owns it. Not the superuser: what came from elsewhere runs as nobody in particular.
const DATABASE: &str = "scratch";
const OWNER: &str = "attack_owner";

/// Roles as an administrator makes them for gov, and the owner.
const ROLES: &str = "
    CREATE ROLE gov_managed NOLOGIN;
    CREATE ROLE attack_ro NOLOGIN;
    CREATE ROLE attack_rw NOLOGIN;
    CREATE ROLE attack_owner LOGIN;
    CREATE ROLE gov_broker LOGIN CREATEROLE;
    GRANT pg_signal_backend TO gov_broker;
    GRANT gov_managed, attack_ro, attack_rw TO gov_broker WITH ADMIN OPTION;
";

/// Who attacks, and the group that lets them in.
const ATTACKER: &str = "attacker";
const GROUP: &str = "gov-attack";

/// How long one statement that makes the copy may take.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

/// Names that a list shows; the others are counted.
const NAMED_MAX: usize = 8;

#[derive(Args)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Attack a scratch copy of a database's structure, and say which synthetic values got out
    #[command(
        long_about = "Attack a scratch copy of a database's structure, and say which synthetic values got out.\n\nThe database \
            itself is neither attacked nor changed, and no value of it is read: a session that reads asks for its structure, as \
            \\d of psql does. Tables, views and functions are made anew in a private PostgreSQL, in a folder of its own on this \
            machine that is removed at the end, and filled with synthetic values. A private server governs it by the same policy, \
            labels and classification, and some hundred ways past a mask are tried on every sensitive column, in sessions that \
            read and in sessions that write. Only ways that show a value where nothing masks it are counted.\n\nThe exit code is 0 \
            when nothing leaked, 10 when something did, and another when it could not be tried.\n\nIt needs the programs of a \
            PostgreSQL server (Debian: postgresql) and, as root, the user `postgres`. Triggers, foreign keys, check constraints \
            and row security are not copied; what else could not be is listed. Questions about words in free text are not tried in \
            sessions that are masked on the way, which may ask them.",
        after_help = "Examples:\n  gov mask attack prod-db\n  gov mask attack prod-db --accept customers.city --json"
    )]
    Attack {
        /// The database, as `gov ls` names it
        resource: ResourceName,
        /// Why its structure is read: one of the purposes `gov ls` shows; the attacks are made under it too
        #[arg(long, value_name = "PURPOSE")]
        purpose: Option<String>,
        /// What the purpose refers to, for example a ticket
        #[arg(long = "ref", value_name = "REFERENCE", requires = "purpose")]
        reference: Option<String>,
        /// Where sessions that read are masked; as they are for the database itself without it
        #[arg(long, value_name = "PLACE", value_parser = ["database", "wire"])]
        masking: Option<String>,
        /// A column that may be seen as it is, as table.column; may be given several times
        #[arg(long, value_name = "COLUMN")]
        accept: Vec<ColumnName>,
    },
}

/// What came of it.
#[derive(Serialize)]
struct Report {
    resource: String,
    /// Columns that held synthetic values.
    columns: Vec<String>,
    /// Those of free text, in which sessions masked on the way may look for words.
    searchable: Vec<String>,
    /// Sensitive columns without any, because of their types.
    not_attacked: Vec<String>,
    /// Tables, views, functions and types that could not be made anew.
    not_copied: Vec<String>,
    scores: Vec<Score>,
    leaks: Vec<Leak>,
}

impl Command for Mask {
    fn name(&self) -> &'static str {
        "mask"
    }

    fn summary(&self) -> &'static str {
        "Try whether masked values get out"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command).long_about("Try whether masked values get out, on a scratch copy.")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let Arguments { action: Action::Attack { resource, purpose, reference, masking, accept } } = parse(arguments)?;
        log::start("warn");
        let purpose = purpose.map(|id| wish::purpose(&id, reference)).transpose()?;
        let wish = Wish { resource, access: Access::Read, purpose, reveal: Vec::new(), ttl_seconds: None };
        run_async(async {
            output.say(format!("Reading the structure of `{}`.", wish.resource));
            let plan = Plan::read(wish, masking.as_deref(), &accept).await?;
            output.say("Making it anew in a private PostgreSQL, with synthetic values.");
            let mut stage = Stage::new("attack").await?;
            let attacked = unless_interrupted(async {
                stage.set().await?;
                plan.attack(&mut stage, output).await
            });
            let attacked = attacked.await;
            stage.clear().await;
            Ok(attacked?.map_or(Exit::INTERRUPTED, |attacked| report(&attacked, output)))
        })
    }
}

/// What is known of the database when its copy is made.
struct Plan {
    wish: Wish,
    masking: &'static str,
    groups: Vec<String>,
    labels: Value,
    policy: Value,
    /// What is masked, and what would be had nobody said that it need not.
    columns: Vec<ClassifiedColumn>,
    /// What is not masked although it looks sensitive.
    cleared: Vec<ClassifiedColumn>,
    structure: Structure,
}

impl Plan {
    async fn read(wish: Wish, masking: Option<&str>, accept: &[ColumnName]) -> Result<Self, Failure> {
        let gateway = Gateway::open().await?;
        let me: Me = gateway.get("/v1/me").await?;
        let inside = Inside::open(gateway, wish.clone()).await?;
        let held = inside.keeper().current().await;
        let structure = async {
            let mut own = inside.connect(vec![("application_name".to_owned(), "gov mask attack".to_owned())]).await?;
            let structure = Structure::read(&mut own.connection).await;
            own.close().await;
            structure
        };
        let structure = structure.await;
        // After a session has begun everything is classified that will be.
        let path = format!("/v1/resources/{}/classification", wish.resource);
        let found: Result<ClassifiedResource, Failure> = Gateway::open().await?.get(&path).await;
        inside.end().await?;
        let (structure, mut found) = (structure?, found?);
        let is_of = |name: &ColumnName, column: &ClassifiedColumn| {
            name.schema.as_deref().unwrap_or("public") == column.schema
                && name.relation == column.relation
                && name.column == column.column
        };
        let sensitive = || found.columns.iter().chain(&found.cleared);
        if let Some(name) = accept.iter().find(|name| !sensitive().any(|column| is_of(name, column))) {
            return Err(Failure::new(Kind::Usage, format!("`{name}` is no sensitive column of `{}`", wish.resource))
                .hint(format!("see which are: gov classify {}", wish.resource)));
        }
        let is_accepted = |column: &ClassifiedColumn| accept.iter().any(|name| is_of(name, column));
        found.columns.retain(|column| !is_accepted(column));
        found.cleared.retain(|column| !is_accepted(column));
        let masking = match (masking, held.grant.masking) {
            (Some("database"), _) | (None, Masking::Database) => "database",
            (_, _) => "wire",
        };
        Ok(Self {
            masking,
            groups: me.groups,
            labels: labels(&held),
            policy: policy(&held)?,
            columns: found.columns,
            cleared: found.cleared,
            structure,
            wish,
        })
    }

    async fn attack(&self, stage: &mut Stage, output: &Output) -> Result<Report, Failure> {
        let mut copy = Copy::make(stage, &self.structure).await?;
        let (ground, not_attacked) = self.plant(&mut copy).await?;
        if ground.targets.is_empty() {
            return Err(Failure::new(
                Kind::NotFound,
                format!("`{}` has no sensitive column to attack", self.wish.resource),
            )
            .detail("Nothing was tried, so nothing is known.")
            .hint(format!("see what was found with: gov classify {}", self.wish.resource)));
        }
        copy.finish(stage, &self.structure).await?;
        let armed = ground.arm(&mut copy.connection).await?;
        output.say(format!(
            "{} ways show values of {} columns where nothing masks them. Trying them through gov.",
            armed.len(),
            ground.targets.len()
        ));
        self.serve(stage).await?;
        let mut report = Report {
            resource: self.wish.resource.to_string(),
            columns: ground.targets.iter().map(|target| target.name.clone()).collect(),
            searchable: ground.targets.iter().filter(|one| one.is_free_text).map(|one| one.name.clone()).collect(),
            not_attacked,
            not_copied: copy.failed,
            scores: Vec::new(),
            leaks: Vec::new(),
        };
        for access in [Access::Read, Access::Write] {
            let name = self.wish.resource.to_string();
            let mut connect = vec![name.as_str()];
            connect.extend((access == Access::Write).then_some("--write"));
            let purpose = self.wish.purpose.as_ref().map(|purpose| (purpose.id.to_string(), purpose.reference.clone()));
            if let Some((id, reference)) = &purpose {
                connect.extend(["--purpose", id]);
                connect.extend(reference.iter().flat_map(|reference| ["--ref", reference.as_str()]));
            }
            let (scores, leaks) = armed.play(stage, &connect, access).await?;
            report.scores.extend(scores);
            report.leaks.extend(leaks);
        }
        Ok(report)
    }

    /// Fills the tables. Gives the columns with canaries in them, and the names of those that should have some.
    async fn plant(&self, copy: &mut Copy) -> Result<(Ground, Vec<String>), Failure> {
        let marks = Marks::new()?;
        let place = |column: &ClassifiedColumn| (column.schema.clone(), column.relation.clone(), column.column.clone());
        let sensitive: HashMap<_, &ClassifiedColumn> =
            self.columns.iter().chain(&self.cleared).map(|column| (place(column), column)).collect();
        let (mut targets, mut missed) = (Vec::new(), Vec::new());
        for table in &self.structure.tables {
            let of = |column: &Column| {
                sensitive.get(&(column.schema.clone(), column.relation.clone(), column.name.clone())).copied()
            };
            let mut planted: BTreeMap<&str, (Mark, Vec<String>)> = BTreeMap::new();
            let mut is_filled = false;
            for row in 1..=ROWS {
                let mut values = Vec::new();
                for column in &table.columns {
                    let found =
                        of(column).and_then(|found| Some((column, marks.sensitive(column, &found.entity, row)?)));
                    values.push((
                        column,
                        found.map_or_else(|| (plain(column, row), None), |(_, (sql, mark))| (sql, Some(mark))),
                    ));
                }
                if copy.try_sql(&insert(table, &values)).await {
                    is_filled = true;
                    for (column, (sql, mark)) in &values {
                        if let Some(mark) = mark {
                            let hash = canary::hash(sql.trim_matches('\''));
                            planted.entry(&column.name).or_insert((*mark, Vec::new())).1.push(hash);
                        }
                    }
                }
            }
            for column in &table.columns {
                let Some(found) = of(column) else { continue };
                match planted.remove(column.name.as_str()).filter(|_| is_filled) {
                    Some((mark, hashes)) => targets.push(Target {
                        name: classify::name(found),
                        table: table.name.clone(),
                        column: quoted(&column.name),
                        mark,
                        is_free_text: found.entity == FREE_TEXT,
                        hashes,
                    }),
                    None => missed.push(classify::name(found)),
                }
            }
        }
        let (views, calls) = (self.structure.views.clone(), self.structure.calls.clone());
        Ok((Ground { marks, targets, views, calls }, missed))
    }

    /// Starts the server, and logs the attacker in.
    async fn serve(&self, stage: &mut Stage) -> Result<(), Failure> {
        let file = stage.folder.join("gov.yaml");
        // JSON is YAML, and quotes what must be quoted.
        let text = self.configuration(stage).to_string();
        files::write_private(&file, text.as_bytes())
            .map_err(|error| super::stage::broken("the private server's configuration cannot be written", &error))?;
        stage.serve(&["--dev", "--config", &file.display().to_string()]).await?;
        let mut login = stage.gov(&["login", &stage.url, "--dev-user", ATTACKER, "--token-store", "file"]);
        let ran = login.stdin(std::process::Stdio::null()).output().await;
        let ran = ran.map_err(|error| super::stage::broken("a command cannot be run", &error))?;
        if ran.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Err(Failure::new(Kind::Gateway, "the private server lets nobody in").detail(said))
    }

    fn configuration(&self, stage: &Stage) -> Value {
        let place = |column: &ClassifiedColumn| format!("{}.{}.{}", column.schema, column.relation, column.column);
        let is_plain = |name: &str| !name.is_empty() && !name.contains('.');
        let all = self.structure.tables.iter().flat_map(|table| &table.columns);
        let all =
            all.filter(|column| [&column.schema, &column.relation, &column.name].iter().all(|name| is_plain(name)));
        let clear = all.map(|column| (format!("{}.{}.{}", column.schema, column.relation, column.name), "clear"));
        let found = self.columns.iter().map(|column| (place(column), column.entity.as_str()));
        let masks: BTreeMap<String, &str> =
            clear.chain(found.filter(|(name, _)| name.split('.').count() == 3)).collect();
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).chain([GROUP]).collect();
        let purposes: Vec<String> = self.wish.purpose.iter().map(|purpose| purpose.id.to_string()).collect();
        let described: BTreeMap<&String, Value> =
            purposes.iter().map(|id| (id, json!({ "description": "as for the database itself" }))).collect();
        json!({
            "server": { "listen": "127.0.0.1:0", "data": stage.folder.join("server") },
            "users": { ATTACKER: { "groups": groups } },
            "purposes": described,
            "access": [{
                "who": { "group": GROUP },
                "resources": [self.wish.resource.to_string()],
                "access": "write",
                "purposes": purposes,
            }],
            "resources": { self.wish.resource.to_string(): {
                "url": stage.address("gov_broker", DATABASE),
                "labels": self.labels,
                "roles": { "read": "attack_ro", "write": "attack_rw" },
                "masking": self.masking,
            } },
            "policy": self.policy,
            "masks": masks,
        })
    }
}

/// The copy, as it is being made.
struct Copy {
    connection: Connection,
    /// What could not be made.
    failed: Vec<String>,
}

impl Copy {
    /// Makes everything that comes before values.
    async fn make(stage: &Stage, structure: &Structure) -> Result<Self, Failure> {
        stage.sql("postgres", ROLES).await?;
        stage.sql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {OWNER}")).await?;
        stage.sql("postgres", &format!("GRANT CREATE ON DATABASE {DATABASE} TO gov_broker")).await?;
        for sql in &structure.extensions {
            // What this machine does not have shows in what needs it.
            drop(stage.sql(DATABASE, sql).await);
        }
        let connection = stage.connection(DATABASE, OWNER).await?;
        let mut copy = Self { connection, failed: Vec::new() };
        copy.try_sql("SET check_function_bodies = off; SET statement_timeout = '20s'; SET client_min_messages = error")
            .await;
        let tables = structure.tables.iter().map(|table| Made { name: table.name.clone(), sql: table.sql() });
        copy.try_all(structure.before.iter().cloned().chain(tables).collect()).await;
        Ok(copy)
    }

    /// Makes what comes after values, and lets sessions in.
    async fn finish(&mut self, stage: &Stage, structure: &Structure) -> Result<(), Failure> {
        self.try_all(structure.after.clone()).await;
        self.try_sql("ANALYZE").await;
        let schemas = stage.sql(
            DATABASE,
            "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
        );
        for schema in schemas.await?.lines() {
            let grant = format!(
                "GRANT USAGE ON SCHEMA {schema} TO attack_ro, attack_rw; \
                 GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO attack_ro, attack_rw; \
                 GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO attack_rw"
            );
            stage.sql(DATABASE, &grant).await?;
        }
        Ok(())
    }

    /// Makes all of it, in an order in which each finds what it needs; what never does is left out.
    async fn try_all(&mut self, mut left: Vec<Made>) {
        loop {
            let (before, mut still) = (left.len(), Vec::new());
            for made in left {
                if !self.try_sql(&made.sql).await {
                    still.push(made);
                }
            }
            if still.is_empty() || still.len() == before {
                self.failed.extend(still.into_iter().map(|made| made.name));
                return;
            }
            left = still;
        }
    }

    async fn try_sql(&mut self, sql: &str) -> bool {
        self.connection.rows(sql, STATEMENT_MAX).await.is_ok()
    }
}

fn labels(held: &Held) -> Value {
    held.grant.labels.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
}

/// The policy in force, as people write it.
fn policy(held: &Held) -> Result<Value, Failure> {
    let sealed: Option<Value> = serde_json::from_slice(&held.policy().canonical()).ok();
    let policy = sealed.and_then(|sealed| sealed.get("policy").cloned());
    policy.ok_or_else(|| Failure::new(Kind::Internal, "the policy in force could not be written down"))
}

fn insert(table: &Table, values: &[(&Column, (String, Option<Mark>))]) -> String {
    let names: Vec<String> = values.iter().map(|(column, _)| quoted(&column.name)).collect();
    let values: Vec<&str> = values.iter().map(|(_, (sql, _))| sql.as_str()).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), values.join(", "))
}

/// A value that is nothing to anybody, as SQL.
fn plain(column: &Column, row: u32) -> String {
    let text = match column.kind.as_str() {
        "text" | "varchar" | "bpchar" | "citext" | "name" => {
            let text = format!("plain {row}");
            let room = column.room.map_or(text.len(), |room| room as usize);
            text.chars().rev().take(room).collect::<Vec<_>>().into_iter().rev().collect()
        }
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "money" => row.to_string(),
        "date" | "timestamp" | "timestamptz" => format!("2025-01-{:02}", row % 28 + 1),
        "uuid" => format!("00000000-0000-4000-8000-{row:012}"),
        "bool" => "true".to_owned(),
        "json" | "jsonb" => format!("{{\"row\": {row}}}"),
        "inet" | "cidr" => format!("192.0.2.{row}"),
        "bytea" => row.to_string(),
        kind => match &column.label {
            Some(label) => label.clone(),
            None if !column.is_required => return "NULL".to_owned(),
            None if kind.starts_with('_') => "{}".to_owned(),
            None => row.to_string(),
        },
    };
    literal(&text)
}

fn report(report: &Report, output: &mut Output) -> Exit {
    match output.format() {
        Format::Json => output.json(report),
        Format::Human => {
            let row = |score: &Score| {
                let counts = [score.attempts, score.refused, score.masked, score.leaked];
                let words = [score.family, score.session, score.masking.as_str()].map(str::to_owned);
                words.into_iter().chain(counts.map(|count| count.to_string())).collect()
            };
            let heading = ["family", "session", "masking", "attempts", "refused", "masked", "leaked"];
            output.table(&heading, report.scores.iter().map(row));
            for leak in report.leaks.iter().take(NAMED_MAX) {
                let Leak { session, of, statement, found, .. } = leak;
                output.say(format!("leaked: {of}, to a session that may {session}, as {found}:\n  {statement}"));
            }
            if report.leaks.len() > NAMED_MAX {
                output.say(format!("and {} more, which --json lists.", report.leaks.len() - NAMED_MAX));
            }
            let counted: u32 = report.scores.iter().map(|score| score.attempts).sum();
            let (leaks, columns) = (report.leaks.len(), report.columns.len());
            output.say(format!("{leaks} of {counted} attempts on {columns} columns leaked."));
            said("Free text, in which sessions masked on the way may look for words", &report.searchable, output);
            said(
                "Sensitive, but of types or sizes that no synthetic value fits, and not attacked",
                &report.not_attacked,
                output,
            );
            said("Could not be made anew, and not attacked", &report.not_copied, output);
        }
    }
    if report.leaks.is_empty() { Exit::Done } else { Exit::Unsound }
}

fn said(what: &str, names: &[String], output: &Output) {
    if names.is_empty() {
        return;
    }
    let named: Vec<String> = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    output.say(format!("{what}: {}{more}.", named.join(", ")));
}
