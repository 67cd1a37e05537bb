//! Finds addresses of services with a password in them, and connection strings of databases.

use std::ops::Range;

use super::{Detector, Method, Sight};

pub(super) struct ConnectionString;

impl Detector for ConnectionString {
    fn name(&self) -> &'static str {
        "connection_string"
    }

    fn summary(&self) -> &'static str {
        "connection strings with passwords"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Text { signs: "@://", find }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "connection string",
            "database url",
            "db url",
            "dsn",
            "jdbc url",
            "redis url",
            "mongo uri",
            "amqp url",
            "connection uri",
            "database uri",
            "connectionstring",
            "conn str",
        ]
    }
}

fn find(text: &str, from: usize) -> Option<Range<usize>> {
    let mut search = from;
    loop {
        let at = search + text.get(search..)?.find("://")?;
        let scheme = text
            .get(from..at)?
            .bytes()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
            .count();
        let rest = text.get(at + 3..)?;
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')).unwrap_or(rest.len());
        let address = rest.get(..end)?;
        let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
        let has_password = authority
            .rsplit_once('@')
            .and_then(|(user, _)| user.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty());
        if scheme > 0 && has_password {
            return Some(at - scheme..at + 3 + end);
        }
        search = at + 3;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Likeness;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&ConnectionString, "postgres://app:s3cret@db.example.com:5432/shop", Likeness::Certain);
        check(&ConnectionString, "https://example.com/a:b@c", Likeness::No);
        check(&ConnectionString, "redis://:pw@cache:6379", Likeness::Certain);
        check(&ConnectionString, "https://example.com", Likeness::No);
    }
}
