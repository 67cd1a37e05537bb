//! Opens the real database connection of a stream: whom it logs in as is the session's, never the client's, choice.

use crate::domain::{Access, Failure, Kind};
use crate::runtime::database::{self, ConnectError, Login, Opened};
use crate::server::credential::Lease;
use crate::server::resource::Resource;
use crate::wire::postgres::Startup;

/// Opens a connection to the session's database with the session's credential and the client's parameters.
pub(crate) async fn open(
    resource: &Resource,
    lease: &Lease,
    parameters: Vec<(String, String)>,
) -> Result<Opened, ConnectError> {
    let login = Login {
        user: lease.role.clone(),
        database: resource.database.clone(),
        password: lease.password.clone(),
        parameters,
    };
    database::open(resource.broker().address(), &login).await
}

/// What a client wants to begin with, `options` taken apart: what it sets is judged like everything else that is set.
///
/// What a startup packet says of the connection itself stands beside `options`, never in it. There it would be one more
/// `user` or `database` behind ours, and the server takes the last.
pub(crate) fn given(startup: &Startup) -> Result<Vec<(String, String)>, Failure> {
    let mut out = Vec::new();
    for (name, value) in &startup.parameters {
        if name != "options" {
            out.push((name.to_ascii_lowercase(), value.clone()));
            continue;
        }
        for (name, value) in options(value)? {
            if matches!(name.as_str(), "user" | "database" | "replication" | "options") {
                return Err(refused(&name));
            }
            out.push((name, value));
        }
    }
    Ok(out)
}

/// The parameters that go to the database.
///
/// `user` and `database` are the session's. Text is UTF-8, because statements are read as UTF-8. `replication` is
/// refused: it is another protocol behind the same login.
///
/// What a session begins with is also what RESET ALL and DISCARD ALL return to. So where only reading is allowed every
/// transaction begins READ ONLY, whatever the credential, and there is nothing to set again afterwards.
pub(crate) fn parameters(given: Vec<(String, String)>, access: Access) -> Result<Vec<(String, String)>, Failure> {
    let mut out = Vec::new();
    for (name, value) in given {
        match name.as_str() {
            "user" | "database" => {}
            "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
            "replication" => {
                return Err(Failure::new(Kind::Denied, "replication connections are not allowed here"));
            }
            _ => out.push((name, value)),
        }
    }
    let ours: &[_] = match access {
        Access::Read => &[("client_encoding", "UTF8"), ("default_transaction_read_only", "on")],
        Access::Write => &[("client_encoding", "UTF8")],
    };
    out.retain(|(name, _)| !ours.iter().any(|(taken, _)| name == taken));
    out.extend(ours.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Ok(out)
}

/// Takes `-c name=value` and `--name=value` apart (manual, section "Server Configuration", `postgres` options; a
/// backslash keeps the character behind it).
fn options(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut words: Vec<String> = Vec::new();
    let mut word = None::<String>;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            character if character.is_ascii_whitespace() => words.extend(word.take()),
            character => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);

    let mut out = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c") {
            Some("") => words.next().ok_or_else(|| refused(&word))?,
            Some(setting) => setting.to_owned(),
            None => word.strip_prefix("--").ok_or_else(|| refused(&word))?.replace('-', "_"),
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| refused(&setting))?;
        out.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Ok(out)
}

fn refused(word: &str) -> Failure {
    Failure::new(Kind::Denied, format!("the startup option `{word}` is not allowed here"))
        .detail("Only `-c name=value` and `--name=value` are, where the name is a parameter that SET would take.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::postgres::Version;

    fn check(asked: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>) {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let startup = Startup { version: Version::V3_0, negotiate: None, parameters: pairs(asked) };
        match (given(&startup).and_then(|given| parameters(given, Access::Write)), expected) {
            (Ok(got), Ok(expected)) => {
                let (ours, others) = got.split_last().unwrap();
                assert_eq!(others, pairs(expected), "{asked:?}");
                assert_eq!(*ours, ("client_encoding".to_owned(), "UTF8".to_owned()));
            }
            (Err(failure), Err(part)) => assert!(failure.message.contains(part), "{failure:?}"),
            (got, _) => panic!("{asked:?} gave {got:?}"),
        }
    }

    #[test]
    fn who_and_where_are_not_the_clients_choice() {
        check(&[("user", "postgres"), ("database", "other"), ("client_encoding", "SJIS")], Ok(&[]));
        check(
            &[("application_name", "psql"), ("DateStyle", "ISO")],
            Ok(&[("application_name", "psql"), ("datestyle", "ISO")]),
        );
        check(&[("replication", "database")], Err("replication"));
        check(&[("replication", "off")], Ok(&[]));
    }

    #[test]
    fn whoever_may_only_read_begins_with_that() {
        let wish = ("options".to_owned(), "-c default_transaction_read_only=off".to_owned());
        let startup = Startup { version: Version::V3_0, negotiate: None, parameters: vec![wish] };
        let names = ["client_encoding=UTF8", "default_transaction_read_only=on"];
        let got: Vec<_> = parameters(given(&startup).unwrap(), Access::Read).unwrap();
        assert_eq!(got.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(), names);
    }

    #[test]
    fn options_are_taken_apart() {
        check(
            &[("options", "-c geqo=off  --statement-timeout=5min")],
            Ok(&[("geqo", "off"), ("statement_timeout", "5min")]),
        );
        check(&[("options", r"-csearch_path=a\ b,c")], Ok(&[("search_path", "a b,c")]));
        check(&[("options", "-c=")], Ok(&[("", "")]));
        for other in ["user=postgres", "Database=postgres", "replication=true", "options=-c\\ geqo=off"] {
            check(&[("options", &format!("-c geqo=off -c {other}"))], Err("not allowed"));
            check(&[("options", &format!("--{other}"))], Err("not allowed"));
        }
        for bad in ["-c", "-d 5", "geqo=off", "-c geqo"] {
            check(&[("options", bad)], Err("not allowed"));
        }
    }
}
