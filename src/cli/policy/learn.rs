//! What a policy would have to allow for what was done to go on: functions and cases, proposed from the record, for people
//! to read.
//!
//! A team that switches rules on begins with `observe`, which records what would have been stopped and stops nothing.
//! From these records, and from what was stopped since, comes one case for each kind of statement: the rules that
//! spoke, the operations and the relations. A case makes milder only what fits it entirely, so what is proposed is no
//! wider than what was seen. Nothing is proposed for agents, or against rules that no policy can change.
//!
//! Statements that were stopped for functions which nobody reviewed come to these functions, each with the digest of the
//! body that ran: reviewed, it is excused everywhere, and asked about again when somebody changes it. They stand in
//! comments, because to list a function says that somebody has read it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::output::clean;
use crate::domain::Digest;
use crate::engine::RULES;
use crate::wire::api::TimelineEntry;

/// Rules that speak about functions which nobody reviewed, and are silent about those that somebody did.
const CODE: [&str; 3] = ["opaque_code", "masked_code", "read_only"];

/// Longest text of a statement in a comment, in characters.
const TEXT_MAX: usize = 100;

/// Statements that one case could cover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    rules: BTreeSet<String>,
    operations: BTreeSet<String>,
    relations: BTreeSet<String>,
}

/// How often a shape was seen, by whom, and one statement of it.
#[derive(Clone, Debug, Default)]
struct Seen {
    times: u32,
    who: BTreeSet<String>,
    last: String,
    text: String,
}

/// What the record teaches.
#[derive(Debug, Default)]
pub(super) struct Lesson {
    /// As `schema.name(types)`, with the digest of the body where it is known.
    functions: BTreeMap<(String, Option<String>), Seen>,
    shapes: BTreeMap<Shape, Seen>,
    of_agents: u32,
    of_fixed_rules: u32,
}

impl Lesson {
    /// Takes one entry of the timeline.
    pub(super) fn take(&mut self, entry: &TimelineEntry) {
        if entry.kind != "statement" || entry.rules.is_empty() {
            return;
        }
        if entry.agent.is_some() {
            self.of_agents += 1;
            return;
        }
        // Reviewed functions are excused from all of these.
        let excused = |rule: &String| CODE.contains(&rule.as_str());
        if !entry.functions.is_empty() && entry.rules.iter().any(excused) {
            for function in &entry.functions {
                let (name, body) = match function.rsplit_once(' ') {
                    Some((name, body)) if Digest::parse(body).is_some() => (name, Some(body.to_owned())),
                    Some(_) | None => (function.as_str(), None),
                };
                self.functions.entry((name.to_owned(), body)).or_default().add(entry);
            }
            if entry.rules.iter().all(excused) {
                return;
            }
        }
        let changeable = |name: &String| RULES.iter().any(|rule| rule.name() == name && !rule.is_fixed());
        if !entry.rules.iter().all(changeable) {
            self.of_fixed_rules += 1;
            return;
        }
        let relation = |object: &String| object.split(' ').next().unwrap_or_default().to_owned();
        let shape = Shape {
            rules: entry.rules.iter().cloned().collect(),
            operations: entry.operations.iter().cloned().collect(),
            relations: entry.objects.iter().map(relation).collect(),
        };
        self.shapes.entry(shape).or_default().add(entry);
    }

    /// The part of a policy that allows it, and in comments what was seen and what no case can say.
    pub(super) fn patch(&self) -> String {
        let (said, unsaid): (Vec<_>, Vec<_>) = self.shapes.iter().partition(|(shape, _)| shape.can_be_said());
        let mut out =
            "# Learned from the record. What stays here is allowed from now on: read every case, and take out what \
                       should not be.\n# The rest goes under `policy:` of gov.yaml; then: gov policy check\n"
                .to_owned();
        out.push_str(&self.reviews());
        out.push_str(if said.is_empty() { "cases: []\n" } else { "cases:\n" });
        for (number, (shape, seen)) in said.iter().enumerate() {
            out.push_str(&format!(
                "  # {}\n  - name: learned-{}\n    if: {{operation: {}, relation: {}}}\n    then: allow\n    rules: {}\n",
                seen.told(),
                number + 1,
                list(&shape.operations),
                list(&shape.relations),
                list(&shape.rules),
            ));
        }
        if !unsaid.is_empty() {
            out.push_str(
                "\n# No case can say these; a function is excused by reviewing it, under `reviewed_functions`.\n",
            );
        }
        for (shape, seen) in unsaid {
            let rules: Vec<&str> = shape.rules.iter().map(String::as_str).collect();
            out.push_str(&format!("#   {}: {}\n", rules.join(", "), seen.told()));
        }
        for (count, why) in [
            (self.of_agents, "of agents: what they may do is for their charter to say"),
            (self.of_fixed_rules, "against rules that no policy can change"),
        ] {
            if count > 0 {
                out.push_str(&format!("\n# Nothing is proposed for {count} statements {why}.\n"));
            }
        }
        out
    }
}

impl Lesson {
    /// The functions to be read.
    fn reviews(&self) -> String {
        let mut out = String::new();
        if self.functions.is_empty() {
            return out;
        }
        out.push_str(
            "\n# Functions that nobody reviewed. Read each (in psql: \\sf NAME); remove the `#` of those that do nothing but \
             read, and of the next line.\n#reviewed_functions:\n",
        );
        for ((name, body), seen) in &self.functions {
            out.push_str(&format!("#  # {}\n", seen.told()));
            let name = serde_json::to_string(&clean(name)).unwrap_or_default();
            match body {
                Some(body) => out.push_str(&format!("#  - {{function: {name}, body: {body}}}\n")),
                None => out.push_str(&format!("#  #   {name} was not found in the database's catalog\n")),
            }
        }
        out.push('\n');
        out
    }
}

impl Shape {
    /// A relation without its schema was not found when the statement was judged: no case fits it. In one that has a
    /// star in its name a case would see a pattern.
    fn can_be_said(&self) -> bool {
        !self.operations.is_empty()
            && !self.relations.is_empty()
            && self.relations.iter().all(|relation| relation.contains('.') && !relation.contains('*'))
    }
}

impl Seen {
    fn add(&mut self, entry: &TimelineEntry) {
        self.times += 1;
        self.who.extend(entry.subject.clone());
        self.last = std::mem::take(&mut self.last).max(entry.at.clone());
        self.text = entry.text.clone().unwrap_or_default();
    }

    fn told(&self) -> String {
        let text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = clean(&text).chars().take(TEXT_MAX).collect();
        let times = if self.times == 1 { "once".to_owned() } else { format!("{} times", self.times) };
        let who = if self.who.len() == 1 { "one person".to_owned() } else { format!("{} people", self.who.len()) };
        format!("{times} by {who}, last on {}: {text}", self.last.get(..10).unwrap_or_default())
    }
}

/// A list as YAML and JSON both write it.
fn list(words: &BTreeSet<String>) -> String {
    serde_json::to_string(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::PolicySource;

    const BODY: &str = "54365cc49572f0ce2381f555df2220d6cd7447a4e0e6fec2824a5279c33e337b";

    fn entry(rules: &[&str], operation: &str, object: &str, who: &str, text: &str) -> TimelineEntry {
        TimelineEntry {
            kind: "statement".to_owned(),
            at: "2026-11-27T10:00:00Z".to_owned(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            operations: vec![operation.to_owned()],
            objects: vec![object.to_owned()],
            subject: Some(who.to_owned()),
            text: Some(text.to_owned()),
            ..TimelineEntry::default()
        }
    }

    #[test]
    fn what_was_seen_becomes_a_policy_that_can_be_read() {
        let mut lesson = Lesson::default();
        for who in ["p1", "p2", "p2"] {
            lesson.take(&entry(&["missing_where"], "update", "public.orders write", who, "UPDATE orders\nSET a = $1"));
        }
        lesson.take(&entry(&["schema_change"], "schema_change", "scratch.t define", "p1", "ALTER TABLE t"));
        lesson.take(&entry(&["opaque_code"], "read", "", "p1", "SELECT f()"));
        for (body, rules) in
            [(BODY, &["opaque_code"][..]), (BODY, &["read_only", "opaque_code"]), ("", &["opaque_code"])]
        {
            let function = format!("public.age(date, text) {body}").trim_end().to_owned();
            let of_function = entry(rules, "read", "public.users read", "p1", "SELECT age(born, $1) FROM users");
            lesson.take(&TimelineEntry { functions: vec![function], ..of_function });
        }
        lesson.take(&entry(&["not_understood"], "read", "public.t read", "p1", "SELEC"));
        lesson.take(&entry(&[], "read", "public.t read", "p1", "SELECT 1"));
        let of_agent = entry(&["missing_where"], "delete", "public.t write", "p1", "DELETE FROM t");
        lesson.take(&TimelineEntry { agent: Some("bot".to_owned()), ..of_agent });
        let patch = lesson.patch();
        PolicySource::parse(&patch).unwrap_or_else(|mistake| panic!("{mistake:?}\n{patch}"));
        for part in [
            "  # 3 times by 2 people, last on 2026-11-27: UPDATE orders SET a = $1\n",
            "if: {operation: [\"update\"], relation: [\"public.orders\"]}\n    then: allow\n    rules: [\"missing_where\"]\n",
            "#   opaque_code: once by one person",
            "#  # 2 times by one person, last on 2026-11-27: SELECT age(born, $1) FROM users\n",
            "#  #   \"public.age(date, text)\" was not found",
            "Nothing is proposed for 1 statements of agents",
            "Nothing is proposed for 1 statements against rules that no policy can change",
        ] {
            assert!(patch.contains(part), "{part}\n{patch}");
        }
        assert!(!patch.contains("DELETE"), "{patch}");
        // Somebody read it, and takes the signs away.
        let line = format!("#  - {{function: \"public.age(date, text)\", body: {BODY}}}\n");
        assert!(patch.contains(&line), "{patch}");
        let read = patch.replace("#reviewed_functions:", "reviewed_functions:").replace("#  - {", "  - {");
        let policy = PolicySource::parse(&read).unwrap_or_else(|mistake| panic!("{mistake:?}\n{read}"));
        assert_ne!(policy, PolicySource::parse(&patch).unwrap());
        let empty = Lesson::default().patch();
        PolicySource::parse(&empty).unwrap_or_else(|mistake| panic!("{mistake:?}\n{empty}"));
    }
}
