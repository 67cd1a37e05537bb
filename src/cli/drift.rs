//! What is done for a purpose now that was not done for it before: statements, tables and kinds of data never seen.
//!
//! It compares what the timeline shows, which is all that anybody may see of others. New is not bad, and old is not good:
//! the report says what to look at, and no more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::output::{Format, Output};
use crate::client::gateway::Gateway;
use crate::domain::{Duration, Failure, Kind, Timestamp};
use crate::wire::api::{TimelineEntry, TimelinePage, TimelineQuery};

/// The time that is looked at when nobody says otherwise.
pub(super) const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before it what was usual is learned.
const BASELINE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Entries asked for at once, and the most that are read of each of the two times.
const PAGE: u32 = 1_000;
const ENTRIES_MAX: usize = 100_000;

/// What `--json` prints, on one line.
#[derive(Debug, Serialize)]
struct Report {
    purpose: String,
    baseline_from: String,
    baseline_statements: usize,
    from: String,
    statements: usize,
    /// More was recorded than was read.
    incomplete: bool,
    unusual: Vec<Unusual>,
}

/// A statement with something new about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Unusual {
    /// `statement`, `table NAME USE`, `tag NAME`.
    new: BTreeSet<String>,
    /// Without its literal values.
    statement: String,
    who: BTreeSet<String>,
    count: u64,
    first_at: String,
    outcomes: BTreeSet<String>,
}

/// Looks at what `query` finds since its beginning, against the time before it.
pub(super) async fn report(
    gateway: &Gateway,
    query: &TimelineQuery,
    now: Timestamp,
    output: &mut Output,
) -> Result<(), Failure> {
    let Some(purpose) = query.purpose.clone() else {
        return Err(Failure::new(Kind::Usage, "drift is about one purpose").hint("name it with --purpose"));
    };
    let from = query.since.as_deref().and_then(Timestamp::parse).unwrap_or_else(|| now.before(WINDOW));
    let baseline_from = from.before(BASELINE);
    let statements = TimelineQuery { kind: Some("statement".to_owned()), limit: Some(PAGE), ..query.clone() };
    let usual =
        TimelineQuery { since: Some(baseline_from.to_string()), until: Some(from.to_string()), ..statements.clone() };
    let (baseline, cut) = all(gateway, usual).await?;
    let (window, cut_too) = all(gateway, TimelineQuery { since: Some(from.to_string()), ..statements }).await?;
    let report = Report {
        purpose,
        baseline_from: baseline_from.to_string(),
        baseline_statements: baseline.len(),
        from: from.to_string(),
        statements: window.len(),
        incomplete: cut || cut_too,
        unusual: compare(&baseline, &window),
    };
    match output.format() {
        Format::Json => output.json(&report),
        Format::Human => print(&report, output),
    }
    Ok(())
}

/// Everything a query finds, the newest first, and whether there was too much of it.
async fn all(gateway: &Gateway, query: TimelineQuery) -> Result<(Vec<TimelineEntry>, bool), Failure> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page: TimelinePage = gateway.find("/v1/timeline", &TimelineQuery { before, ..query.clone() }).await?;
        before = page.entries.iter().map(|entry| entry.id).min();
        found.extend(page.entries);
        if !page.more || before.is_none() {
            return Ok((found, false));
        }
        if found.len() >= ENTRIES_MAX {
            return Ok((found, true));
        }
    }
}

/// What of a time has something new about it, the most frequent last seen first by its beginning.
fn compare(baseline: &[TimelineEntry], window: &[TimelineEntry]) -> Vec<Unusual> {
    let traits = |entry: &TimelineEntry| {
        let text = entry.text.clone().unwrap_or_default();
        let tables = entry.objects.iter().map(|object| format!("table {object}"));
        let tags = entry.tags.iter().map(|tag| format!("tag {tag}"));
        (format!("statement {text}"), tables.chain(tags).collect::<BTreeSet<_>>())
    };
    let mut known = BTreeSet::new();
    for entry in baseline {
        let (text, others) = traits(entry);
        known.insert(text);
        known.extend(others);
    }
    let mut found: BTreeMap<String, Unusual> = BTreeMap::new();
    for entry in window {
        let (text, others) = traits(entry);
        let mut new: BTreeSet<String> = others.into_iter().filter(|other| !known.contains(other)).collect();
        if !known.contains(&text) {
            new.insert("statement".to_owned());
        }
        if new.is_empty() {
            continue;
        }
        let unusual = found.entry(text).or_insert_with(|| Unusual {
            statement: entry.text.clone().unwrap_or_default(),
            first_at: entry.at.clone(),
            ..Unusual::default()
        });
        unusual.new.extend(new);
        unusual.who.extend(entry.agent.clone().or_else(|| entry.who.clone()));
        unusual.outcomes.extend(entry.outcome.clone());
        unusual.count += 1;
        unusual.first_at = unusual.first_at.clone().min(entry.at.clone());
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|one, other| one.first_at.cmp(&other.first_at).then_with(|| one.statement.cmp(&other.statement)));
    found
}

fn print(report: &Report, output: &mut Output) {
    if report.incomplete {
        output.warn(format!("only the newest {ENTRIES_MAX} statements of each time were looked at"));
    }
    if report.baseline_statements == 0 {
        output.warn("nothing was done for this purpose in the 30 days before: everything is new");
    }
    if !report.unusual.is_empty() {
        let heading = ["first", "count", "who", "outcome", "new", "statement"];
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        output.table(
            &heading,
            report.unusual.iter().map(|unusual| {
                vec![
                    unusual.first_at.get(..16).unwrap_or(&unusual.first_at).replace('T', " "),
                    unusual.count.to_string(),
                    list(&unusual.who),
                    list(&unusual.outcomes),
                    list(&unusual.new),
                    unusual.statement.clone(),
                ]
            }),
        );
    }
    output.say(format!(
        "{} of {} statements for `{}` had something new about them; {} in the 30 days before were compared.",
        report.unusual.iter().map(|unusual| unusual.count).sum::<u64>(),
        report.statements,
        report.purpose,
        report.baseline_statements,
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: &str, who: &str, text: &str, objects: &[&str], tags: &[&str]) -> TimelineEntry {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        TimelineEntry {
            at: at.to_owned(),
            who: Some(who.to_owned()),
            text: Some(text.to_owned()),
            objects: owned(objects),
            tags: owned(tags),
            outcome: Some("ok".to_owned()),
            ..TimelineEntry::default()
        }
    }

    #[test]
    fn what_was_never_seen_is_told_and_nothing_else() {
        let usual = entry("1", "a", "SELECT count(*) FROM orders", &["public.orders read"], &[]);
        let baseline = [usual.clone()];
        assert_eq!(compare(&baseline, std::slice::from_ref(&usual)), []);
        let window = [
            usual,
            entry("4", "b", "SELECT email FROM customers", &["public.customers read"], &["pii.email"]),
            entry("3", "a", "SELECT email FROM customers", &["public.customers read"], &["pii.email"]),
            // A new statement about what is known, and a known statement that reads something new by a changed view.
            entry("5", "a", "SELECT max(id) FROM orders", &["public.orders read"], &[]),
            entry("6", "a", "SELECT count(*) FROM orders", &["public.orders read"], &["financial"]),
        ];
        let found = compare(&baseline, &window);
        let told: Vec<_> = found
            .iter()
            .map(|unusual| {
                (
                    unusual.first_at.as_str(),
                    unusual.count,
                    unusual.who.len(),
                    unusual.new.iter().map(String::as_str).collect::<Vec<_>>(),
                )
            })
            .collect();
        let table = ["statement", "table public.customers read", "tag pii.email"];
        assert_eq!(
            told,
            [("3", 2, 2, table.to_vec()), ("5", 1, 1, vec!["statement"]), ("6", 1, 1, vec!["tag financial"])]
        );
    }
}
