//! The cases of a policy, filed by what they name: of many, only those are asked that can apply to a command.

use std::collections::HashMap;

use super::case::{Case, Subject};

/// The cases of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Docket {
    /// In the order of the policy.
    cases: Vec<Case>,
    has_hours: bool,
    /// Those that may apply whatever is touched, as places in `cases`.
    anywhere: Vec<usize>,
    /// Those that apply only when a relation is touched that matches a pattern, by the pattern as it is written.
    named: HashMap<String, Vec<usize>>,
    /// Those that apply only when a relation is touched that carries a tag, by the tag.
    tagged: HashMap<String, Vec<usize>>,
}

impl Docket {
    pub(super) fn new<'c>(cases: impl Iterator<Item = &'c Case>) -> Self {
        let mut docket = Self::default();
        for (place, case) in cases.enumerate() {
            docket.has_hours |= case.has_hours();
            let (mut patterns, mut tags) = (case.patterns().peekable(), case.tags().peekable());
            if patterns.peek().is_some() {
                patterns.for_each(|pattern| docket.named.entry(pattern.to_owned()).or_default().push(place));
            } else if tags.peek().is_some() {
                tags.for_each(|tag| docket.tagged.entry(tag.to_owned()).or_default().push(place));
            } else {
                docket.anywhere.push(place);
            }
            docket.cases.push(case.clone());
        }
        docket
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// All of them, in the order of the policy.
    pub(super) fn all(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }

    /// Whether some of them look at the time.
    pub(super) fn has_hours(&self) -> bool {
        self.has_hours
    }

    /// Those that can apply to a command, in the order of the policy.
    pub(super) fn of(&self, subject: &Subject<'_>) -> Vec<&Case> {
        let mut places = self.anywhere.clone();
        for (schema, name, tags) in subject.touched() {
            if !self.named.is_empty() {
                let patterns = [(schema, name), (schema, "*"), ("*", name), ("*", "*")];
                let filed = |(schema, name): (&str, &str)| self.named.get(&format!("{schema}.{name}"));
                places.extend(patterns.into_iter().filter_map(filed).flatten());
            }
            places.extend(tags.iter().filter_map(|tag| self.tagged.get(*tag)).flatten());
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| self.cases.get(place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Access, Environment, IdentityKind, Timestamp};
    use crate::engine::resolve::Facts;
    use crate::engine::tests::{engine, grant};
    use crate::engine::{Policy, Scope};

    const CASES: &str = "\
tags:
  - {relation: billing.*, tags: [financial]}
cases:
  - {name: a, if: {relation: public.users}, then: observe}
  - {name: b, if: {relation: [billing.payments, '*.notes']}, then: observe}
  - {name: c, if: {relation: 'billing.*', tag: financial}, then: observe}
  - {name: d, if: {tag: financial}, then: observe}
  - {name: e, if: {kind: person}, then: observe}
  - {name: f, if: {relation: '*.*'}, then: observe}
  - {name: g, if: {relation: scratch.*}, then: observe}
  - {name: h, if: {kind: person}, unless: {relation: public.orders}, then: observe}
";

    /// Whoever is not asked would not have applied, and the order stays.
    #[test]
    fn those_that_can_apply_are_asked() {
        let policy = Policy::parse(CASES, Environment::Production).unwrap();
        let engine = engine(Environment::Production);
        engine.replace_policy(Arc::new(policy.clone()));
        let (who, scope) = (grant(Access::Write, IdentityKind::Person), Scope::new("app", &["public".to_owned()]));
        let check = |text: &str, asked: &str, applies: &str| {
            let what = engine.understand(text.as_bytes());
            let ground = engine.ground();
            let facts =
                Facts::new(ground.asked(&who, IdentityKind::Person, Timestamp::default()), &scope, &what.commands[0]);
            let subject = Subject::new(&facts, Timestamp::default());
            let applying = |case: &&&Case| case.stops(&subject, 0).is_some();
            let names = |cases: Vec<&Case>| cases.iter().map(|case| case.name()).collect::<String>();
            let few = policy.docket().of(&subject);
            assert_eq!(names(few.clone()), asked, "{text}");
            assert_eq!(names(few.iter().filter(applying).copied().collect()), applies, "{text}");
            let all: Vec<&Case> = policy.docket().all().collect();
            assert_eq!(names(all.iter().filter(applying).copied().collect()), applies, "{text}");
        };
        check("SELECT 1", "eh", "eh");
        check("SELECT * FROM users", "aefh", "aefh");
        check("SELECT * FROM users, notes", "abefh", "abefh");
        check("SELECT * FROM orders", "efh", "ef");
        check("INSERT INTO billing.payments SELECT * FROM billing.payments", "bcdefh", "bcdefh");
        check("DELETE FROM billing.invoices", "cdefh", "cdefh");
        check("CREATE TABLE scratch.t (a int)", "efgh", "efgh");
        check("SELECT * FROM pg_class", "eh", "eh");
    }
}
