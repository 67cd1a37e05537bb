//! What a policy would have to allow for what was done to go on: cases, proposed from the record, for people to read.
//!
//! A team that switches rules on begins with `observe`, which records what would have been stopped and stops nothing.
//! From these records, and from what was stopped since, comes one case for each kind of statement: the rules that
//! spoke, the operations and the relations. A case makes milder only what fits it entirely, so what is proposed is no
//! wider than what was seen. Nothing is proposed for agents, or against rules that no policy can change.

use std::collections::{BTreeMap, BTreeSet};

use super::super::output::clean;
use crate::engine::RULES;
use crate::wire::api::TimelineEntry;

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
        let seen = self.shapes.entry(shape).or_default();
        seen.times += 1;
        seen.who.extend(entry.subject.clone());
        seen.last = std::mem::take(&mut seen.last).max(entry.at.clone());
        seen.text = entry.text.clone().unwrap_or_default();
    }

    /// The part of a policy that allows it, and in comments what was seen and what no case can say.
    pub(super) fn patch(&self) -> String {
        let (said, unsaid): (Vec<_>, Vec<_>) = self.shapes.iter().partition(|(shape, _)| shape.can_be_said());
        let mut out =
            "# Learned from the record. What stays here is allowed from now on: read every case, and take out what \
                       should not be.\n# The rest goes under `policy:` of gov.yaml; then: gov policy check\n"
                .to_owned();
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
            "Nothing is proposed for 1 statements of agents",
            "Nothing is proposed for 1 statements against rules that no policy can change",
        ] {
            assert!(patch.contains(part), "{part}\n{patch}");
        }
        assert!(!patch.contains("DELETE"), "{patch}");
        let empty = Lesson::default().patch();
        PolicySource::parse(&empty).unwrap_or_else(|mistake| panic!("{mistake:?}\n{empty}"));
    }
}
