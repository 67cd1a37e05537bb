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

use std::collections::{BTreeMap, HashMap, HashSet};

use clap::{ArgMatches, Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use self::attack::{Ground, Leak, Score, Target};
use self::canary::{Mark, Marks, ROWS};
use self::structure::{Column, Made, Missing, Structure, Table};
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
            \\d of psql does. Tables and their keys, checks, generated columns, triggers and policies, views and functions are \
            made anew in a private PostgreSQL, in a folder of its own on this machine that is removed at the end, and filled with \
            synthetic values. A private server governs it by the same policy, labels and classification, and some hundred ways \
            past a mask are tried on every sensitive column, in sessions that read and in sessions that write. Only ways that \
            show a value where nothing masks it are counted.\n\nThe exit code is 0 \
            when nothing leaked, 10 when something did, and another when it could not be tried.\n\nIt needs the programs of a \
            PostgreSQL server (Debian: postgresql) and, as root, the user `postgres`. What was copied is counted, and what was \
            not is listed with the reason: what no synthetic value satisfies, extensions and languages whose code could reach out \
            of the copy, aggregates, event triggers, and policies for roles that the session is not one of. Roles and rights are \
            not copied: who attacks may use everything. Questions about words in free text are not tried in sessions that are \
            masked on the way, which may ask them.",
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
    /// Sensitive columns without any, because of their types, or in which no way shows one.
    not_attacked: Vec<String>,
    /// How many there are of each kind of thing that was made anew.
    copied: BTreeMap<&'static str, u32>,
    /// What was not.
    not_copied: Vec<Missing>,
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
        let (mut ground, mut not_attacked) = self.plant(&mut copy).await?;
        if ground.targets.is_empty() {
            return Err(Failure::new(
                Kind::NotFound,
                format!("`{}` has no sensitive column to attack", self.wish.resource),
            )
            .detail("Nothing was tried, so nothing is known.")
            .hint(format!("see what was found with: gov classify {}", self.wish.resource)));
        }
        copy.finish(stage, &self.structure).await?;
        not_attacked.extend(ground.drop_empty(&mut copy.connection).await?);
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
            copied: copy.copied,
            not_copied: copy.missing.into_iter().chain(self.structure.absent.iter().cloned()).collect(),
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
            let is_whole = !copy.reduced.contains(&table.name);
            let is_computed = |column: &Column| column.is_generated && is_whole;
            let given: Vec<&Column> = table.columns.iter().filter(|column| !is_computed(column)).collect();
            let mut planted: BTreeMap<&str, (Mark, Vec<String>)> = BTreeMap::new();
            for row in 1..=ROWS {
                let mut values = Vec::new();
                for column in &given {
                    let column = *column;
                    let found =
                        of(column).and_then(|found| Some((column, marks.sensitive(column, &found.entity, row)?)));
                    values.push((
                        column,
                        found.map_or_else(|| (plain(column, row), None), |(_, (sql, mark))| (sql, Some(mark))),
                    ));
                }
                // Rows of a table that is spread over others are theirs.
                if table.spread.is_some() || copy.run(&insert(table, &values)).await.is_ok() {
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
                let found_again = if is_computed(column) {
                    // Of values that the database made of others: whichever of the marks is left in them.
                    let shown = format!("SELECT {}::text FROM {} LIMIT 1", quoted(&column.name), table.name);
                    let shown = copy.connection.rows(&shown, STATEMENT_MAX).await.unwrap_or_default();
                    let mark = shown.first().and_then(|row| marks.in_text(row.text(0)?));
                    mark.map(|mark| (mark, Vec::new()))
                } else {
                    planted.remove(column.name.as_str())
                };
                match found_again {
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
    /// How many there are of each kind of thing.
    copied: BTreeMap<&'static str, u32>,
    /// What could not be made, or not whole.
    missing: Vec<Missing>,
    /// Names of those that are not whole.
    reduced: HashSet<String>,
}

impl Copy {
    /// Makes everything that comes before values.
    async fn make(stage: &Stage, structure: &Structure) -> Result<Self, Failure> {
        stage.sql("postgres", ROLES).await?;
        stage.sql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {OWNER}")).await?;
        stage.sql("postgres", &format!("GRANT CREATE ON DATABASE {DATABASE} TO gov_broker")).await?;
        let connection = stage.connection(DATABASE, OWNER).await?;
        let mut copy = Self { connection, copied: BTreeMap::new(), missing: Vec::new(), reduced: HashSet::new() };
        let settings =
            "SET check_function_bodies = off; SET statement_timeout = '20s'; SET client_min_messages = error";
        copy.run(settings)
            .await
            .map_err(|why| Failure::new(Kind::Database, "the scratch copy cannot be made").detail(format!("{why}.")))?;
        let tables = structure.tables.iter().map(Table::made);
        copy.try_all(structure.before.iter().cloned().chain(tables).collect()).await;
        Ok(copy)
    }

    /// Makes what comes after values, and lets sessions in.
    async fn finish(&mut self, stage: &Stage, structure: &Structure) -> Result<(), Failure> {
        self.try_all(structure.after.clone()).await;
        let schemas = stage.sql(
            DATABASE,
            "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
        );
        for schema in schemas.await?.lines() {
            let grant = format!(
                "GRANT USAGE ON SCHEMA {schema} TO attack_ro, attack_rw; \
                 GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO attack_ro, attack_rw; \
                 GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO attack_rw; \
                 GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO attack_rw"
            );
            stage.sql(DATABASE, &grant).await?;
        }
        self.guard(stage, structure).await?;
        // Statistics hold values: a way of its own, where there are any.
        drop(self.run("ANALYZE").await);
        Ok(())
    }

    /// Switches row security on where somebody who attacks sees a row nevertheless: where nobody does, nothing would be
    /// tried on the table's masks.
    async fn guard(&mut self, stage: &Stage, structure: &Structure) -> Result<(), Failure> {
        for table in &structure.guarded {
            let switch = |state: &str| format!("ALTER TABLE {table} {state} ROW LEVEL SECURITY");
            let seen = async |role: &str| {
                let look = format!("SET ROLE {role}; SELECT 'seen' WHERE EXISTS (SELECT FROM {table})");
                stage.sql(DATABASE, &look).await.is_ok_and(|seen| seen == "seen")
            };
            let switched = self.run(&switch("ENABLE")).await;
            let why = match switched {
                Ok(()) if seen("attack_ro").await && seen("attack_rw").await => {
                    *self.copied.entry("row security").or_default() += 1;
                    continue;
                }
                Ok(()) => "it hides every synthetic row, so that nothing could be tried behind it".to_owned(),
                Err(why) => why,
            };
            stage.sql(DATABASE, &format!("ALTER TABLE IF EXISTS {table} DISABLE ROW LEVEL SECURITY")).await?;
            self.missing.push(Missing { what: "row security", name: table.clone(), why });
        }
        Ok(())
    }

    /// Makes all of it, in an order in which each finds what it needs; what never does is left out.
    async fn try_all(&mut self, mut left: Vec<Made>) {
        loop {
            let (before, mut failed) = (left.len(), Vec::new());
            for made in left {
                match self.run(&made.sql).await {
                    Ok(()) => *self.copied.entry(made.what).or_default() += 1,
                    Err(_) if made.what == "extension" => failed.push((made, UNTRUSTED.to_owned())),
                    // What a partition holds may be a value.
                    Err(_) if made.sql.contains("***") => failed.push((made, HIDDEN.to_owned())),
                    Err(why) => failed.push((made, why)),
                }
            }
            if failed.len() < before {
                left = failed.into_iter().map(|(made, _)| made).collect();
                continue;
            }
            // Nothing more can be made as it is; another one may be all that the others wait for.
            let mut reduced = None;
            for (index, (made, _)) in failed.iter().enumerate() {
                if let Some((sql, without)) = &made.instead
                    && self.run(sql).await.is_ok()
                {
                    reduced = Some((index, *without));
                    break;
                }
            }
            let Some((index, without)) = reduced else {
                let missing = failed.into_iter().map(|(made, why)| Missing { what: made.what, name: made.name, why });
                self.missing.extend(missing);
                return;
            };
            let (made, why) = failed.remove(index);
            *self.copied.entry(made.what).or_default() += 1;
            self.reduced.insert(made.name.clone());
            self.missing.push(Missing { what: made.what, name: made.name, why: format!("{without}: {why}") });
            left = failed.into_iter().map(|(made, _)| made).collect();
        }
    }

    /// Runs a statement, or says why it could not be.
    async fn run(&mut self, sql: &str) -> Result<(), String> {
        self.connection.rows(sql, STATEMENT_MAX).await.map(drop).map_err(|error| error.to_string())
    }
}

/// Why an extension is left out that this machine has.
const UNTRUSTED: &str =
    "PostgreSQL trusts no ordinary owner with it: its code could reach out of the copy, or it is not here";
const HIDDEN: &str = "a part of its definition is masked";

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
    let (names, values) = (names.join(", "), values.join(", "));
    format!("INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})", table.name)
}

/// A value that is nothing to anybody, as SQL.
fn plain(column: &Column, row: u32) -> String {
    if let Some(choice) = &column.choice {
        return literal(choice);
    }
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
        _ if !column.is_required => return "NULL".to_owned(),
        kind if kind.starts_with('_') => "{}".to_owned(),
        _ => row.to_string(),
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
                "Sensitive, but without a synthetic value that fits and shows, and not attacked",
                &report.not_attacked,
                output,
            );
            let copied = report.copied.iter().map(|(what, count)| counted_things(*count, what));
            output.say(format!("Made anew: {}.", copied.collect::<Vec<_>>().join(", ")));
            for Missing { what, name, why } in report.not_copied.iter().take(NAMED_MAX) {
                output.say(format!("not copied: {what} `{name}`: {why}"));
            }
            if report.not_copied.len() > NAMED_MAX {
                output.say(format!(
                    "and {} more that were not, which --json lists.",
                    report.not_copied.len() - NAMED_MAX
                ));
            }
        }
    }
    if report.leaks.is_empty() { Exit::Done } else { Exit::Unsound }
}

fn counted_things(count: u32, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some("row securit")) => format!("row security of {count} tables"),
        // A key is none of these.
        (_, Some(stem)) if !stem.ends_with('e') => format!("{count} {stem}ies"),
        (_, _) if what.ends_with('x') => format!("{count} {what}es"),
        (_, _) => format!("{count} {what}s"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted_as_people_count_them() {
        let check = |count: u32, what: &str, expected: &str| assert_eq!(counted_things(count, what), expected);
        check(1, "policy", "1 policy");
        check(2, "policy", "2 policies");
        check(2, "foreign key", "2 foreign keys");
        check(3, "index", "3 indexes");
        check(3, "row security", "row security of 3 tables");
        check(2, "trigger", "2 triggers");
    }
}
