//! The parameters a session begins with: in the startup packet they do what SET does later.

use super::policy::Policy;
use super::rule::RULES;
use super::setting::{Effect, effect};
use super::sql::fact::{Setting, Value};
use super::sql::path_words;
use crate::domain::{Action, IdentityKind, Reason};

/// Checks one parameter of a startup packet, `options` included. A hold is a refusal here: nobody can wait that early.
pub(super) fn parameter(policy: &Policy, who: IdentityKind, name: &str, value: &str) -> Result<(), Reason> {
    match name.to_ascii_lowercase().as_str() {
        // Whose session it is and of which database was decided before.
        "user" | "database" => Ok(()),
        "replication" => match value.to_ascii_lowercase().as_str() {
            "" | "false" | "off" | "no" | "0" => Ok(()),
            _ => Err(refused("outside_access", "replication", "it opens a replication connection")),
        },
        "options" => options(policy, who, value),
        // Extensions of the protocol itself, negotiated elsewhere.
        name if name.starts_with("_pq_.") => Ok(()),
        name => setting(policy, who, name, value),
    }
}

fn setting(policy: &Policy, who: IdentityKind, name: &str, value: &str) -> Result<(), Reason> {
    let value = match name {
        "search_path" => path_words(value),
        _ => Value::Words(vec![value.into()]),
    };
    let setting = Setting { name: Some(name.into()), value, local: false, certain: true };
    let (rule, why) = match effect(&setting, policy) {
        Effect::Harmless => return Ok(()),
        Effect::Reading => ("parser_settings", "it changes how the server reads statements"),
        Effect::Role => ("role_switch", "it takes another role"),
        Effect::Guard(why) => ("session_guard", why),
    };
    let action = RULES.iter().find(|known| known.name() == rule).map(|rule| policy.action(*rule, who));
    match action {
        Some(Action::Allow | Action::Observe) => Ok(()),
        Some(Action::Hold | Action::Deny) | None => Err(refused(rule, name, why)),
    }
}

fn refused(rule: &'static str, name: &str, why: &str) -> Reason {
    Reason::new(rule, format!("a session may not begin with this value of `{name}`"))
        .detail(format!("The connection is refused because {why}."))
        .hint("remove it from the connection string, `PGOPTIONS` or the tool's settings")
}

/// The server's own command line: `-c name=value` and `--name=value`. Everything else on it is for people who start
/// servers.
fn options(policy: &Policy, who: IdentityKind, text: &str) -> Result<(), Reason> {
    let words = split(text);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let pair = match word {
            "-c" => words.next(),
            word => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")),
        };
        let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) else {
            return Err(refused("session_guard", "options", "it is not a list of `-c name=value`"));
        };
        // The server reads a dash in a name as an underscore here.
        setting(policy, who, &name.to_ascii_lowercase().replace('-', "_"), value)?;
    }
    Ok(())
}

/// Splits at white space; a backslash keeps the next character as it is (`pg_split_opts`).
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            word.extend(letters.next());
        } else if !letter.is_ascii_whitespace() && letter != '\x0b' {
            word.push(letter);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Environment;

    fn check(name: &str, value: &str, rule: Option<&str>) {
        let policy = Policy::built_in(Environment::Production);
        let answer = parameter(&policy, IdentityKind::Person, name, value);
        assert_eq!(answer.err().map(|reason| reason.rule), rule, "{name}={value}");
    }

    #[test]
    fn startup_parameters_are_judged_like_set() {
        check("user", "postgres", None);
        check("database", "prod", None);
        check("application_name", "psql", None);
        check("client_encoding", "UTF8", None);
        check("client_encoding", "SJIS", Some("parser_settings"));
        check("standard_conforming_strings", "off", Some("parser_settings"));
        check("Standard_Conforming_Strings", "off", Some("parser_settings"));
        check("search_path", "public", None);
        check("search_path", "\"$user\", public", None);
        check("search_path", "evil,public", Some("session_guard"));
        check("role", "postgres", Some("role_switch"));
        check("replication", "database", Some("outside_access"));
        check("replication", "true", Some("outside_access"));
        check("replication", "off", None);
        check("statement_timeout", "0", Some("session_guard"));
        check("_pq_.something", "1", None);
        check("nonsense", "1", Some("session_guard"));
    }

    #[test]
    fn options_are_taken_apart() {
        check("options", "", None);
        check("options", "-c datestyle=ISO --timezone=UTC", None);
        check("options", "-cdatestyle=ISO", None);
        check("options", "-c standard_conforming_strings=off", Some("parser_settings"));
        check("options", "--standard-conforming-strings=off", Some("parser_settings"));
        check("options", "-c\tstatement_timeout=0", Some("session_guard"));
        check("options", "-c search_path=evil\\,\\ public", Some("session_guard"));
        check("options", "-c row_security=o\\ff", Some("session_guard"));
        check("options", "-P", Some("session_guard"));
        check("options", "-c", Some("session_guard"));
        check("options", "-O -c a=b", Some("session_guard"));
    }
}
