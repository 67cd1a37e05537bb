//! How well columns are classified: against columns whose values come from generators that know nothing of our lists.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

/// See `generate.py` beside it.
const COLUMNS: &str = include_str!("../../../tests/vectors/classification/columns.jsonl");

#[derive(Deserialize)]
struct Column {
    source: String,
    entity: Option<String>,
    table: String,
    name: String,
    kind: String,
    #[serde(rename = "type")]
    type_name: String,
    values: Vec<Option<String>>,
}

fn kind(name: &str) -> Kind {
    match name {
        "text" => Kind::Text,
        "numeric" | "int4" => Kind::Number,
        "date" => Kind::Date,
        "uuid" => Kind::Uuid,
        "bool" | "timestamptz" => Kind::Other,
        other => panic!("{other}"),
    }
}

#[derive(Default)]
struct Tally {
    all: usize,
    found: usize,
    exact: usize,
}

/// The figures the design promises (`README.md` shows them).
#[test]
fn scores() {
    let columns: Vec<Column> = COLUMNS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut tallies: BTreeMap<(String, &str), Tally> = BTreeMap::new();
    let mut by_entity: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut right, mut wrong) = (0, 0);
    let mut misses = Vec::new();
    for column in &columns {
        let sampled = Sampled {
            table: &column.table,
            name: &column.name,
            kind: kind(&column.type_name),
            comment: None,
            values: column.values.iter().flatten().map(String::as_str).collect(),
            made_of: Vec::new(),
        };
        let finding = relation(&[sampled]).remove(0).filter(|finding| finding.entity != FREE_TEXT);
        let group = if column.entity.is_some() { column.kind.as_str() } else { "clear" };
        let tally = tallies.entry((column.source.clone(), group)).or_default();
        tally.all += 1;
        tally.found += usize::from(finding.is_some());
        let said = finding.as_ref().map(|finding| finding.entity.clone());
        tally.exact += usize::from(said == column.entity);
        if let Some(entity) = &column.entity {
            let tally = by_entity.entry(entity.clone()).or_default();
            tally.all += 1;
            tally.found += usize::from(finding.is_some());
            tally.exact += usize::from(said == column.entity);
        }
        match (&column.entity, &finding) {
            (Some(_), Some(_)) => right += 1,
            (None, Some(_)) => wrong += 1,
            (_, None) => {}
        }
        if said != column.entity {
            let example = column.values.iter().flatten().next().cloned().unwrap_or_default();
            misses.push(format!(
                "{} {}.{} is {:?}, said {finding:?}: {example}",
                column.source, column.table, column.name, column.entity
            ));
        }
    }
    println!("{}\n", misses.join("\n"));
    println!("{:16} {:10} {:>5} {:>6} {:>6}", "source", "columns", "all", "found", "exact");
    for ((source, group), tally) in &tallies {
        println!("{source:16} {group:10} {:5} {:6} {:6}", tally.all, tally.found, tally.exact);
    }
    for (entity, tally) in &by_entity {
        println!("{entity:16} {:10} {:5} {:6} {:6}", "", tally.all, tally.found, tally.exact);
    }
    let sum = |group: &str| {
        tallies
            .iter()
            .filter(|((_, of), _)| *of == group)
            .fold((0, 0), |(found, all), (_, tally)| (found + tally.found, all + tally.all))
    };
    let share = |(part, all): (usize, usize)| part as f64 / all as f64;
    let precision = share((right, right + wrong));
    println!(
        "precision {precision:.3}, named {:.3}, short {:.3}, opaque {:.3}, false positives {:.3}",
        share(sum("named")),
        share(sum("short")),
        share(sum("opaque")),
        share(sum("clear"))
    );
    assert!(precision >= 0.93, "precision {precision}");
    assert!(share(sum("named")) >= 0.98 && share(sum("short")) >= 0.98);
    assert!(share(sum("opaque")) >= 0.80);
    assert!(share(sum("clear")) <= 0.04);
}

/// What is sensitive in texts stands in few of their rows, of which a sample may have none.
#[test]
fn texts_that_people_write_may_hold_anything() {
    let check = |name: &str, values: &[&str], expected: bool| {
        let sampled = Sampled {
            table: "tickets",
            name,
            kind: Kind::Text,
            comment: None,
            values: values.repeat(3).clone(),
            made_of: Vec::new(),
        };
        let finding = relation(&[sampled]).remove(0);
        assert_eq!(finding.map(|finding| finding.entity), expected.then(|| FREE_TEXT.to_owned()), "{name}");
    };
    let sentences =
        ["the widget came late, as before", "prefers contact by mail; ticket 7", "it is still broken for us"];
    check("c7", &sentences, true);
    check("subject", &["Ticket 1", "Ticket 2", "Ticket 3"], true);
    check("c7", &["Ticket 1", "Ticket 2", "Ticket 3"], false);
    check("subject", &["maths", "physics", "latin"], false);
    check("agent", &["Mozilla/5.0 (X11; Linux x86_64; rv:109.0)", "curl/7.88.1", "Mozilla/5.0 (like Gecko)"], false);
    // One of a few texts, again and again.
    check("state", &["waiting for the other side to answer"; 10], false);
}

#[test]
fn what_is_made_of_sensitive_columns_is_sensitive() {
    let emails: Vec<String> = (0..60).map(|i| format!("ada{i}@mail{}.example.org", i % 3)).collect();
    let emails: Vec<&str> = emails.iter().map(String::as_str).collect();
    let reversed: Vec<String> = emails.iter().map(|email| email.chars().rev().collect()).collect();
    let domains: Vec<&str> =
        emails.iter().filter_map(|email| email.split_once('@')).map(|(_, domain)| domain).collect();
    let column = |name, kind, values: Vec<&'static str>, made_of: &[usize]| Sampled {
        table: "x",
        name,
        kind,
        comment: None,
        values,
        made_of: made_of.to_vec(),
    };
    let owned = |values: &[&str]| values.iter().map(|value| &*value.to_string().leak()).collect::<Vec<&'static str>>();
    let reversed: Vec<&str> = reversed.iter().map(String::as_str).collect();
    let found = relation(&[
        column("email", Kind::Text, owned(&emails), &[]),
        column("c2", Kind::Text, owned(&reversed), &[0]),
        // A few domains tell hardly anybody apart.
        column("c3", Kind::Text, owned(&domains), &[0]),
        column("c4", Kind::Text, Vec::new(), &[0]),
        column("c5", Kind::Other, Vec::new(), &[0]),
        column("salary", Kind::Number, owned(&["41000", "52000"]), &[]),
        column("c7", Kind::Text, Vec::new(), &[0, 5]),
        column("c8", Kind::Text, owned(&reversed), &[]),
    ]);
    let found: Vec<_> = found.iter().map(|found| found.as_ref().map(|found| found.entity.as_str())).collect();
    let email = Some("email");
    assert_eq!(found, [email, email, None, email, None, Some("salary"), Some("secret"), None]);
}

/// Where a type leaves nothing to look at, the name decides.
#[test]
fn names_say_what_values_cannot() {
    let check = |name: &str, kind: Kind, values: &[&str], expected: Option<&str>| {
        let column =
            Sampled { table: "records", name, kind, comment: None, values: values.to_vec(), made_of: Vec::new() };
        let found = relation(&[column]).remove(0).map(|finding| finding.entity);
        assert_eq!(found.as_deref(), expected, "{name}");
    };
    let moments = ["1970-09-18 03:04:05", "1981-02-03 00:00:00", "1990-01-01 10:00:00"];
    check("date_of_birth", Kind::Date, &moments, Some("birth_date"));
    check("created_at", Kind::Date, &moments, None);
    check("birthday_mail_sent_at", Kind::Date, &moments, None);
    check("client_ip", Kind::Address, &[], Some("ip_address"));
    check("diagnosis", Kind::Other, &[], Some("health"));
    check("blood_type", Kind::Other, &[], Some("health"));
    check("diagnosis_status", Kind::Other, &[], None);
    check("is_active", Kind::Other, &[], None);
    let digests =
        ["5f4dcc3b5aa765d61d8327deb882cf99", "e99a18c428cb38d5f260853678922e03", "0d107d09f5bbe40cade3de5c71e9e9b7"];
    check("password_hash", Kind::Text, &digests, Some("password_hash"));
    check("content_hash", Kind::Text, &digests, None);
}
