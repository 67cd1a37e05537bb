//! Who is logged in, where, until when, and whether the server can be reached.

use clap::ArgMatches;
use serde::Serialize;

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, run_async};
use crate::client::gateway::{Gateway, SKEW_MAX, Server, Skew};
use crate::client::profile::{self, Profile};
use crate::client::token_store;
use crate::domain::{Failure, Kind, print_duration};
use crate::runtime::clock;
use crate::wire::api::{BudgetEntry, Me, ServerInfo, SessionList};

pub(super) struct Status;

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Report {
    server: String,
    reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_version: Option<String>,
    client_version: &'static str,
    /// Positive when this machine's clock is ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew_seconds: Option<i64>,
    issuer: String,
    token_store: String,
    logged_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    me: Option<Me>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renews: Option<bool>,
    /// Open sessions that may use up no more than so much.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    budgets: Vec<SessionBudget>,
}

#[derive(Serialize)]
struct SessionBudget {
    session: String,
    resource: String,
    budget: Vec<BudgetEntry>,
}

impl Command for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn summary(&self) -> &'static str {
        "Show who is logged in, and whether the server answers"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        command.after_help("Example: gov status --json")
    }

    fn run(&self, _: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let profile = Profile::load()?.ok_or_else(|| {
            Failure::new(Kind::NotLoggedIn, "you are not logged in")
                .detail("Nobody has logged in on this machine.")
                .hint("run: gov login https://gov.example.com")
        })?;
        run_async(async { status(profile, output).await })
    }
}

async fn status(profile: Profile, output: &mut Output) -> Result<Exit, Failure> {
    let mut report = Report {
        server: profile.server.clone(),
        client_version: env!("CARGO_PKG_VERSION"),
        issuer: profile.issuer.url.clone(),
        token_store: profile.token_store.clone(),
        ..Report::default()
    };
    let server = Server::new(profile::server_url(&profile.server)?, profile.ca.as_deref())?;
    let info = server.info().await;
    let skew = info.as_ref().ok().and_then(Server::skew);
    if let Ok(info) = &info {
        report.reachable = true;
        report.server_version = Some(info.version.clone());
        report.clock_skew_seconds = skew.map(seconds);
        if info.key.id != profile.key.id {
            output.warn("the server signs with another key than when you logged in: ask why, or log in again");
        }
    }
    let gateway = Gateway::open().await;
    let me = match (&gateway, report.reachable) {
        (Ok(gateway), true) => Some(gateway.get::<Me>("/v1/me").await),
        (Ok(_) | Err(_), _) => None,
    };
    if let Ok(gateway) = &gateway {
        report.renews = Some(gateway.validity().await.1);
    }
    if let (Ok(gateway), Some(Ok(me))) = (&gateway, &me) {
        report.budgets = budgets(gateway, me).await;
    }
    report.logged_in = matches!(me, Some(Ok(_)));
    report.me = me.as_ref().and_then(|me| me.as_ref().ok()).cloned();
    let trouble = [info.as_ref().err(), gateway.as_ref().err(), me.as_ref().and_then(|me| me.as_ref().err())];
    let trouble = trouble.into_iter().flatten().next().cloned();
    match output.format() {
        Format::Json => output.json(&report),
        Format::Human => {
            print(&report, info.as_ref().ok(), skew, output);
            if let Some(failure) = &trouble {
                output.failure(failure);
            }
        }
    }
    Ok(trouble.map_or(Exit::Done, |failure| Exit::from(failure.kind)))
}

/// What is left to whoever is logged in. An operator sees sessions of others too; those are for `gov session ls`.
async fn budgets(gateway: &Gateway, me: &Me) -> Vec<SessionBudget> {
    let Ok(list) = gateway.get::<SessionList>("/v1/sessions").await else { return Vec::new() };
    let through = format!("{} through ", me.name);
    let mine = list.sessions.into_iter().filter(|entry| entry.who == me.name || entry.who.starts_with(&through));
    mine.filter(|entry| !entry.budget.is_empty())
        .map(|entry| SessionBudget { session: entry.session, resource: entry.resource, budget: entry.budget })
        .collect()
}

fn seconds(skew: Skew) -> i64 {
    let length = i64::try_from(skew.length().as_secs()).unwrap_or(i64::MAX);
    match skew {
        Skew::Ahead(_) => length,
        Skew::Behind(_) => -length,
    }
}

fn print(report: &Report, info: Option<&ServerInfo>, skew: Option<Skew>, output: &mut Output) {
    let mut line = |what: &str, text: &str| output.line(format_args!("{what:<9} {text}"));
    let version = info.map(|info| format!(" (gov {})", info.version)).unwrap_or_default();
    line("server", &format!("{}{version}", report.server));
    if let Some(me) = &report.me {
        let groups = if me.groups.is_empty() { "no groups".to_owned() } else { me.groups.join(", ") };
        line("user", &format!("{} ({groups})", me.name));
        line("issuer", &format!("{} (subject {})", me.issuer, me.subject));
        let until = crate::domain::Timestamp::parse(&me.expires_at).map(|at| print_duration(at.since(clock::now())));
        let renewal = if report.renews == Some(true) { "then renewed by itself" } else { "then log in again" };
        line("login", &format!("good for {}, {renewal}", until.unwrap_or_else(|| "a while".to_owned())));
    }
    for SessionBudget { session, resource, budget } in &report.budgets {
        line("budget", &format!("{resource}, session {session}: has used {}", super::session::used(budget)));
    }
    let place = token_store::named(&report.token_store).map_or("a place this version does not know", |s| s.summary());
    line("tokens", place);
    match skew {
        Some(skew) if skew.length() > SKEW_MAX => {
            let side = if seconds(skew) > 0 { "ahead of" } else { "behind" };
            line("clock", &format!("{} {side} the server's: set it", print_duration(skew.length())));
        }
        Some(_) => line("clock", "agrees with the server's"),
        None => {}
    }
}
